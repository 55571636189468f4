"""Who may read a blob: the properties of a storage account, and which readers they refuse.

A private path alone does not help against `allowBlobPublicAccess` false: whoever has no credential
is refused there too. A credential alone does not help against closed networks. Used by the stand-in blob service, and by a preflight of changes before they are applied.
Source: Azure Storage REST error codes, and the properties named by the built-in Azure policies
13502221-8df0-4414-9937-de9c5c4e396b (public blob access) and
b2982f36-99f2-4db5-8eff-283140c09693 (public network access).
"""

from enum import StrEnum
from typing import NamedTuple


class ContainerAccess(StrEnum):
    """What a container shows to a reader without a credential."""

    NONE = "None"
    BLOB = "Blob"
    CONTAINER = "Container"


class AccountAccess(NamedTuple):
    """The properties of a storage account that decide on a read."""

    allow_blob_public_access: bool = True
    public_network_access: str = "Enabled"
    """`Enabled` or `Disabled`."""
    default_action: str = "Allow"
    """Of the network rules: `Allow` or `Deny`."""


class Path(StrEnum):
    """How a reader reaches the account."""

    PUBLIC = "public"
    SERVICE_ENDPOINT = "service_endpoint"
    """From a virtual network that the account's rules allow."""
    PRIVATE_ENDPOINT = "private_endpoint"
    """By an address of its own inside the reader's network."""


class Reader(NamedTuple):
    """Who wants to read."""

    path: Path = Path.PUBLIC
    is_authorised: bool = False
    """It brings a credential that the account takes: a shared access signature, or a token."""


class ReadRefusal(NamedTuple):
    """Why a read is refused, as the service answers it."""

    status: int
    code: str
    message: str


_NETWORK = ReadRefusal(
    403, "AuthorizationFailure", "This request is not authorized to perform this operation."
)
_ACCOUNT = ReadRefusal(
    409, "PublicAccessNotPermitted", "Public access is not permitted on this storage account."
)
_CONTAINER = ReadRefusal(404, "ResourceNotFound", "The specified resource does not exist.")


def refuse_read(
    account: AccountAccess, container: ContainerAccess, reader: Reader
) -> ReadRefusal | None:
    """Decide on a read; None lets it through.

    Network rules are checked before the account, and the account before the container.
    """
    if not _reaches(account, reader.path):
        return _NETWORK
    if reader.is_authorised:
        return None
    if not account.allow_blob_public_access:
        return _ACCOUNT
    if container is ContainerAccess.NONE:
        return _CONTAINER
    return None


def _reaches(account: AccountAccess, path: Path) -> bool:
    if path is Path.PRIVATE_ENDPOINT:
        return True
    if account.public_network_access == "Disabled":
        return False
    return path is Path.SERVICE_ENDPOINT or account.default_action != "Deny"

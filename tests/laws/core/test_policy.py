"""Who may read a blob: every combination of the properties that decide, for every reader."""

from itertools import product

import pytest

from surgetank.core.policy import AccountAccess, ContainerAccess, Path, Reader, refuse_read

# One letter for each outcome: N network (403), A account (409), C container (404), . let through.
CODES = {"N": "AuthorizationFailure", "A": "PublicAccessNotPermitted", "C": "ResourceNotFound"}
STATUSES = {"N": 403, "A": 409, "C": 404}
CONTAINERS = (ContainerAccess.NONE, ContainerAccess.BLOB, ContainerAccess.CONTAINER)
READERS = [Reader(path, is_authorised) for is_authorised in (False, True) for path in Path]
TABLE = {
    # allowBlobPublicAccess, publicNetworkAccess, defaultAction: for each of READERS (anonymous by
    # the public path, a service endpoint, a private endpoint; the same three with a credential)
    # and of CONTAINERS
    (True, "Enabled", "Allow"): "C.. C.. C.. ... ... ...",
    (True, "Enabled", "Deny"): "NNN C.. C.. NNN ... ...",
    (True, "Disabled", "Allow"): "NNN NNN C.. NNN NNN ...",
    (True, "Disabled", "Deny"): "NNN NNN C.. NNN NNN ...",
    (False, "Enabled", "Allow"): "AAA AAA AAA ... ... ...",
    (False, "Enabled", "Deny"): "NNN AAA AAA NNN ... ...",
    (False, "Disabled", "Allow"): "NNN NNN AAA NNN NNN ...",
    (False, "Disabled", "Deny"): "NNN NNN AAA NNN NNN ...",
}
ROWS = [
    pytest.param(AccountAccess(*properties), container, reader, wanted)
    for properties, row in TABLE.items()
    for reader, letters in zip(READERS, row.split(), strict=True)
    for container, wanted in zip(CONTAINERS, letters, strict=True)
]


@pytest.mark.parametrize(("account", "container", "reader", "wanted"), ROWS)
def test_a_read_is(
    account: AccountAccess, container: ContainerAccess, reader: Reader, wanted: str
) -> None:
    refusal = refuse_read(account, container, reader)
    found = None if refusal is None else (refusal.status, refusal.code)
    assert found == (None if wanted == "." else (STATUSES[wanted], CODES[wanted]))


def test_the_table_is_whole() -> None:
    assert set(TABLE) == set(product((True, False), ("Enabled", "Disabled"), ("Allow", "Deny")))
    assert set(CONTAINERS) == set(ContainerAccess)


def test_an_account_is_open_unless_something_says_otherwise() -> None:
    assert AccountAccess() == AccountAccess(
        allow_blob_public_access=True, public_network_access="Enabled", default_action="Allow"
    )


def test_a_refusal_says_what_the_service_says() -> None:
    messages = {
        refusal.message
        for account in (AccountAccess(), AccountAccess(False), AccountAccess(default_action="Deny"))
        for container in ContainerAccess
        if (refusal := refuse_read(account, container, Reader())) is not None
    }
    assert messages == {
        "Public access is not permitted on this storage account.",
        "The specified resource does not exist.",
        "This request is not authorized to perform this operation.",
    }

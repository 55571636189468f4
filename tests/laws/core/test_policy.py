"""Who may read a blob: every combination of the properties that decide."""

from itertools import product

import pytest

from surgetank.core.policy import AccountAccess, ContainerAccess, refuse_anonymous_read

# One letter for each outcome: N network (403), A account (409), C container (404), . let through.
CODES = {"N": "AuthorizationFailure", "A": "PublicAccessNotPermitted", "C": "ResourceNotFound"}
STATUSES = {"N": 403, "A": 409, "C": 404}
CONTAINERS = (ContainerAccess.NONE, ContainerAccess.BLOB, ContainerAccess.CONTAINER)
TABLE = {
    # allowBlobPublicAccess, publicNetworkAccess, defaultAction: for each of CONTAINERS
    (True, "Enabled", "Allow"): "C..",
    (True, "Enabled", "Deny"): "NNN",
    (True, "Disabled", "Allow"): "NNN",
    (True, "Disabled", "Deny"): "NNN",
    (False, "Enabled", "Allow"): "AAA",
    (False, "Enabled", "Deny"): "NNN",
    (False, "Disabled", "Allow"): "NNN",
    (False, "Disabled", "Deny"): "NNN",
}
ROWS = [
    pytest.param(AccountAccess(*properties), container, wanted, id=f"{properties} {container}")
    for properties, row in TABLE.items()
    for container, wanted in zip(CONTAINERS, row, strict=True)
]


@pytest.mark.parametrize(("account", "container", "wanted"), ROWS)
def test_an_anonymous_read_is(
    account: AccountAccess, container: ContainerAccess, wanted: str
) -> None:
    refusal = refuse_anonymous_read(account, container)
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
        if (refusal := refuse_anonymous_read(account, container)) is not None
    }
    assert messages == {
        "Public access is not permitted on this storage account.",
        "The specified resource does not exist.",
        "This request is not authorized to perform this operation.",
    }

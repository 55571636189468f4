"""Unmodified azure-storage-blob against the stand-in, before, during and after the policy."""

from typing import TYPE_CHECKING

import pytest
from azure.core.exceptions import HttpResponseError, ResourceExistsError
from azure.storage.blob import BlobClient

if TYPE_CHECKING:
    from tests.live.standin.conftest import Town

PIECE_BYTES = 16


def client(town: "Town", service: str, path: str) -> BlobClient:
    """A reader without a credential, in pieces as a large blob would be read."""
    account, container, name = path[1:].split("/")
    return BlobClient(
        f"{town.url(service)}/{account}",
        container,
        name,
        max_single_get_size=PIECE_BYTES,
        max_chunk_get_size=PIECE_BYTES,
    )


def read(town: "Town", service: str, path: str) -> bytes:
    with client(town, service, path) as blob:
        return blob.download_blob().readall()


def is_package_of(body: bytes, path: str) -> bool:
    """Whether `body` is the very package that was published at `path`."""
    account, extension = path[1:].split("/")[:2]
    number = extension.removeprefix("extension-")
    return body == b"PK\x03\x04" + f"{account} extension {number} 1.0.0".encode()


def refusal(town: "Town", service: str, path: str) -> tuple[int | None, str | None]:
    with pytest.raises(ResourceExistsError) as caught:
        read(town, service, path)
    code: object = getattr(caught.value, "error_code", None)
    return caught.value.status_code, None if code is None else str(code)


BLOCKED = (409, "PublicAccessNotPermitted")


@pytest.mark.parametrize("service", ["blob", "mirror"])
def test_a_blob_is_read_before_the_policy(town: "Town", service: str) -> None:
    path = town.fresh()["package"]
    assert is_package_of(read(town, service, path), path)


def test_storage_refuses_during_the_policy(town: "Town") -> None:
    path = town.package
    town.act("/faults/policy")
    assert refusal(town, "blob", path) == BLOCKED


def test_the_mirror_gives_what_it_read_during_the_policy(town: "Town") -> None:
    path = town.fresh()["package"]
    read(town, "mirror", path)
    town.act("/faults/policy")
    assert is_package_of(read(town, "mirror", path), path)


def test_the_mirror_tells_the_truth_about_what_it_never_read(town: "Town") -> None:
    path = town.fresh()["package"]
    town.act("/faults/policy")
    assert refusal(town, "mirror", path) == BLOCKED


@pytest.mark.parametrize("service", ["blob", "mirror"])
def test_a_blob_is_read_after_the_repair(town: "Town", service: str) -> None:
    path = town.fresh()["package"]
    town.act("/faults/policy")
    town.act("/acts/repair")
    assert is_package_of(read(town, service, path), path)


def test_the_policy_strikes_the_accounts_on_its_list(town: "Town") -> None:
    path = town.package
    account = path[1:].split("/")[0]
    assert town.act("/faults/policy", accounts=[account, "gone"]) == {"changed": [account]}
    assert refusal(town, "blob", path) == BLOCKED
    others = {name for name in town.told["accounts"] if name != account}
    accounts = town.state()["accounts"]
    assert all(accounts[name]["access"]["allow_blob_public_access"] for name in others)


def test_a_blob_is_read_in_pieces(town: "Town") -> None:
    path = town.package
    account = path[1:].split("/")[0]
    before = town.state()["accounts"][account]["requests"]
    body = read(town, "blob", path)
    requests = town.state()["accounts"][account]["requests"] - before
    assert requests == -(-len(body) // PIECE_BYTES) > 1


def test_pieces_by_way_of_the_mirror_cost_storage_one_read(town: "Town") -> None:
    path = town.fresh()["package"]
    account = path[1:].split("/")[0]
    before = town.state()["accounts"][account]["requests"]
    read(town, "mirror", path)
    assert town.state()["accounts"][account]["requests"] - before == 1


@pytest.mark.parametrize("service", ["blob", "mirror"])
def test_a_read_that_begins_beyond_the_end_is_refused(town: "Town", service: str) -> None:
    with (
        client(town, service, town.package) as blob,
        pytest.raises(HttpResponseError) as caught,
    ):
        blob.download_blob(offset=10_000)
    assert caught.value.status_code == 416
    assert getattr(caught.value, "error_code", None) == "InvalidRange"


def test_properties_are_those_of_a_blob(town: "Town") -> None:
    path = town.package
    body = read(town, "blob", path)
    with client(town, "blob", path) as blob:
        properties = blob.get_blob_properties()
    assert properties.size == len(body)
    assert properties.blob_type == "BlockBlob"
    assert properties.last_modified.year > 2_000


def test_properties_by_way_of_the_mirror_have_the_size(town: "Town") -> None:
    path = town.package
    body = read(town, "mirror", path)
    with client(town, "mirror", path) as blob:
        assert blob.get_blob_properties().size == len(body)


@pytest.mark.parametrize("service", ["blob", "mirror"])
def test_an_account_is_also_read_by_its_name(town: "Town", service: str) -> None:
    path = town.package
    account, _, rest = path[1:].partition("/")
    headers = {"host": f"{account}.blob.core.windows.net"}
    answer = town.ask(service, f"/{rest}", headers=headers)
    assert answer.status == 200
    assert is_package_of(answer.body, path)


def test_an_account_that_nobody_has_is_no_address(town: "Town") -> None:
    answer = town.ask("blob", "/nobody/c/b")
    assert (answer.status, answer.headers["x-ms-error-code"]) == (400, "InvalidUri")


def test_the_mirror_is_no_way_to_anywhere_else(town: "Town") -> None:
    assert town.ask("mirror", "/example.org/x").status == 403

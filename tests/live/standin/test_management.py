"""Machines of the stand-in: their agents read artifacts and tokens by way of the safeguards."""

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from tests.live.standin.conftest import Town

GROUP = "/subscriptions/0/resourceGroups/g/providers/Microsoft.Compute/virtualMachines"


def install(town: "Town", machine: str, **settings: object) -> dict[str, Any]:
    """Make a machine with one extension; gives the end of the long-running operation."""
    path = f"{GROUP}/{machine}"
    put = town.ask("management", path, method="PUT", body=b"{}")
    assert put.status in (200, 201)
    body = json.dumps({"properties": {"settings": settings}}).encode()
    begun = town.ask("management", f"{path}/extensions/e", method="PUT", body=body)
    assert begun.status == 201
    poll = urlsplit(begun.headers["azure-asyncoperation"])
    assert f"http://{poll.netloc}" == town.url("management")
    return town.ask("management", poll.path, headers={"prefer": "wait=30"}).document()


def manifest_of(paths: dict[str, str]) -> str:
    """The manifest's URL as a goal state names it: by the account's own name."""
    account, _, rest = paths["manifest"][1:].partition("/")
    return f"https://{account}.blob.core.windows.net/{rest}"


def test_a_machine_installs_an_extension(town: "Town") -> None:
    end = install(town, "before", manifest=manifest_of(town.fresh()), version="1.0.0")
    assert end == {"status": "Succeeded"}


def test_a_machine_installs_by_way_of_the_mirror_during_the_policy(town: "Town") -> None:
    paths = town.fresh()
    assert [town.ask("mirror", path).status for path in paths.values()] == [200, 200]
    town.act("/faults/policy")
    end = install(town, "during", manifest=manifest_of(paths), version="1.0.0")
    assert end == {"status": "Succeeded"}


def test_a_machine_fails_as_in_the_incident_on_what_was_never_read(town: "Town") -> None:
    town.act("/faults/policy")
    end = install(town, "cold", manifest=manifest_of(town.fresh()), version="1.0.0")
    assert end["status"] == "Failed"
    assert end["error"]["details"][0]["code"] == "PublicAccessNotPermitted"


def test_a_manifest_is_also_found_where_it_is_served(town: "Town") -> None:
    url = town.url("mirror") + town.fresh()["manifest"]
    assert install(town, "by-path", manifest=url, version="1.0.0") == {"status": "Succeeded"}


def test_machines_share_the_token_of_the_broker(town: "Town") -> None:
    assert install(town, "first", resources=["monitor"]) == {"status": "Succeeded"}
    town.act("/acts/traffic", open_ratio=0)
    before = town.state()["agents"]
    assert install(town, "second", resources=["monitor"]) == {"status": "Succeeded"}
    assert town.state()["agents"]["token_tries"] == before["token_tries"] + 1
    assert town.state()["agents"]["machines"] == before["machines"] + 1

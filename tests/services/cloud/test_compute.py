"""The control plane's machines: there at once, within limits, and what it cannot read."""

import json
from typing import TYPE_CHECKING, Any

import pytest

from surgetank.cloud.compute import INSTANCES_MAX
from surgetank.core.http import Response

if TYPE_CHECKING:
    from tests.services.cloud.conftest import Play, Stage

SCOPE = "/subscriptions/0/resourceGroups/g/providers/Microsoft.Compute"
SET = f"{SCOPE}/virtualMachineScaleSets/s"
VM = f"{SCOPE}/virtualMachines/m"
INSTALL: dict[str, Any] = {"properties": {"settings": {"version": "1"}}}


def _fields(response: Response) -> dict[str, Any]:
    assert response.headers["content-type"] == "application/json"
    fields: dict[str, Any] = json.loads(response.body)
    return fields


def _code(response: Response) -> tuple[int, str]:
    return response.status, _fields(response)["error"]["code"]


# Machines


@pytest.mark.parametrize(
    ("path", "body", "machines"),
    [
        (VM, {"location": "eastus"}, ["m-0"]),
        (VM, None, ["m-0"]),
        (VM, {"sku": None}, ["m-0"]),
        (SET, {"sku": {"capacity": 3}}, ["s-0", "s-1", "s-2"]),
        (f"{SET}/", {"sku": {"capacity": 1}}, ["s-0"]),
    ],
)
def test_a_put_allocates_machines_at_once(
    play: "Play", path: str, body: Any, machines: list[str]
) -> None:
    async def test(stage: "Stage") -> None:
        region = stage.region()
        response = await region.put(path, body)
        assert response.status == 201
        assert _fields(response)["properties"] == {"provisioningState": "Succeeded"}
        assert (list(region.agents), stage.passed_s) == (machines, 0.0)

    play(test)


def test_the_same_put_again_changes_nothing(play: "Play") -> None:
    async def test(stage: "Stage") -> None:
        region = stage.region()
        statuses = [(await region.put(SET, {"sku": {"capacity": 2}})).status for _ in range(2)]
        assert (statuses, len(region.agents)) == ([201, 200], 2)

    play(test)


def test_a_larger_capacity_adds_machines(play: "Play") -> None:
    async def test(stage: "Stage") -> None:
        region = stage.region()
        for capacity in (1, 3, 2):
            await region.put(SET, {"sku": {"capacity": capacity}})
        assert list(region.agents) == ["s-0", "s-1", "s-2"]

    play(test)


def test_a_machine_and_a_set_of_one_name_are_two_things(play: "Play") -> None:
    async def test(stage: "Stage") -> None:
        region = stage.region()
        other = SET.replace("resourceGroups/g", "resourceGroups/h").removesuffix("/s") + "/t"
        assert [(await region.put(path)).status for path in (VM, SET, other)] == [201] * 3
        missing = await region.put(f"{SCOPE}/virtualMachines/s/extensions/e", INSTALL)
        assert _code(missing) == (404, "ParentResourceNotFound")

    play(test)


@pytest.mark.parametrize("capacity", [0, -1, INSTANCES_MAX + 1])
def test_a_set_has_its_limits(play: "Play", capacity: int) -> None:
    async def test(stage: "Stage") -> None:
        region = stage.region()
        response = await region.put(SET, {"sku": {"capacity": capacity}})
        assert _code(response) == (400, "InvalidParameter")
        assert not region.agents

    play(test)


def test_a_set_may_be_as_large_as_its_limit(play: "Play") -> None:
    async def test(stage: "Stage") -> None:
        region = stage.region()
        await region.create(INSTANCES_MAX)
        assert len(region.agents) == INSTANCES_MAX

    play(test)


def test_a_region_has_room_for_so_many_machines(play: "Play") -> None:
    async def test(stage: "Stage") -> None:
        region = stage.region(machines_max=3)
        await region.create(2)
        assert _code(await region.put(SET, {"sku": {"capacity": 4}})) == (409, "QuotaExceeded")
        new = f"{SET}-2"
        assert _code(await region.put(new, {"sku": {"capacity": 2}})) == (409, "QuotaExceeded")
        assert (await region.put(new, {"sku": {"capacity": 1}})).status == 201
        assert len(region.agents) == 3

    play(test)


# Requests that cannot be read

BAD = [
    b"{",
    b"no json",
    b"\xff\xfe",
    b"[]",
    b'"text"',
    b"[" * 100_000,
    b'{"sku": 1}',
    b'{"sku": []}',
    b'{"sku": {"capacity": "3"}}',
    b'{"sku": {"capacity": 1.5}}',
    b'{"sku": {"capacity": true}}',
    b'{"sku": {"capacity": null}}',
    b'{"sku": {"capacity": NaN}}',
    b'{"sku": {"capacity": {}}}',
]
BAD_EXTENSIONS = [*BAD[:6], b'{"properties": 1}', b'{"properties": {"settings": "text"}}']


@pytest.mark.parametrize("raw", BAD, ids=lambda raw: repr(raw[:32]))
def test_a_machine_that_cannot_be_read_is_the_callers_mistake(play: "Play", raw: bytes) -> None:
    async def test(stage: "Stage") -> None:
        region = stage.region()
        assert _code(await region.put(SET, raw=raw)) == (400, "InvalidRequestContent")
        assert not region.agents

    play(test)


@pytest.mark.parametrize("raw", BAD_EXTENSIONS, ids=lambda raw: repr(raw[:32]))
def test_an_extension_that_cannot_be_read_is_the_callers_mistake(play: "Play", raw: bytes) -> None:
    async def test(stage: "Stage") -> None:
        region = stage.region()
        await region.create()
        response = await region.put(f"{SET}/extensions/e", raw=raw)
        assert _code(response) == (400, "InvalidRequestContent")
        assert "azure-asyncoperation" not in response.headers

    play(test)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", SET),
        ("GET", "/operations"),
        ("POST", "/operations/0"),
        ("DELETE", SET),
        ("PUT", "/"),
        ("PUT", f"{SCOPE}/disks/d"),
        ("PUT", f"{SCOPE}/disks/d/extensions/e"),
        ("PUT", f"{SCOPE}/virtualMachines"),
    ],
)
def test_an_unknown_path_is_not_found(play: "Play", method: str, path: str) -> None:
    async def test(stage: "Stage") -> None:
        region = stage.region()
        await region.create()
        response = await stage.call(region.compute.handle, method, region.host + path)
        assert _code(response) == (404, "ResourceNotFound")

    play(test)


def test_closing_breaks_off_what_is_under_way(play: "Play") -> None:
    async def test(stage: "Stage") -> None:
        region = stage.region()
        await region.create()
        url = await region.install()
        await stage.until(1)
        await region.compute.close()
        assert _fields(await region.poll(url))["status"] == "Failed"
        assert stage.passed_s == 1

    play(test)

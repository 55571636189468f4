"""Extensions: long-running operations, the polls that follow them, and their limits."""

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from surgetank.core.errors import SimulationError
from surgetank.core.http import Response

if TYPE_CHECKING:
    from tests.services.cloud.conftest import Play, Stage

SCOPE = "/subscriptions/0/resourceGroups/g/providers/Microsoft.Compute"
SET = f"{SCOPE}/virtualMachineScaleSets/s"
INSTALL: dict[str, Any] = {"properties": {"settings": {"version": "1"}}}
BOOT_S = 40.0


def _fields(response: Response) -> dict[str, Any]:
    assert response.headers["content-type"] == "application/json"
    fields: dict[str, Any] = json.loads(response.body)
    return fields


def _code(response: Response) -> tuple[int, str]:
    return response.status, _fields(response)["error"]["code"]


def test_an_extension_begins_a_long_running_operation(play: "Play") -> None:
    async def test(stage: "Stage") -> None:
        region = stage.region()
        await region.create()
        response = await region.put(f"{SET}/extensions/e", INSTALL)
        assert (response.status, stage.passed_s) == (201, 0.0)
        url = response.headers["azure-asyncoperation"]
        assert url == "http://management.eastus/operations/0?api-version=2024-07-01"
        assert _fields(response)["properties"] == {"provisioningState": "Creating"}

    play(test)


def test_an_operation_is_polled_where_the_caller_came_in(play: "Play") -> None:
    async def test(stage: "Stage") -> None:
        region = stage.region()
        region.host = "https://localhost:8443"
        await region.create()
        assert (await region.install()).startswith("https://localhost:8443/operations/0?")

    play(test)


def test_an_operation_is_over_when_every_agent_is_done(play: "Play") -> None:
    async def test(stage: "Stage") -> None:
        region = stage.region()
        await region.create(3)
        url = await region.install()
        assert await region.end(url) == {"status": "Succeeded"}
        assert stage.passed_s == BOOT_S + 10.0
        assert region.compute.effects == Counter({"s-0/e": 1, "s-1/e": 1, "s-2/e": 1})

    play(test)


def test_the_settings_reach_the_agent(play: "Play") -> None:
    async def test(stage: "Stage") -> None:
        region = stage.region()
        await region.create()
        await region.end(await region.install())
        assert region.agents["s-0"].applied == [{"version": "1"}]

    play(test)


def test_an_extension_may_have_no_settings(play: "Play") -> None:
    async def test(stage: "Stage") -> None:
        region = stage.region()
        await region.create()
        await region.end(await region.install(body={"properties": {"settings": None}}))
        assert region.agents["s-0"].applied == [{}]

    play(test)


def test_a_failed_operation_is_an_answer_with_nested_codes(play: "Play") -> None:
    async def test(stage: "Stage") -> None:
        region = stage.region()
        region.codes |= {"s-0": "PublicAccessNotPermitted", "s-1": "Http503", "s-2": "Http503"}
        await region.create(4)
        url = await region.install()
        fields = await region.end(url)
        assert (await region.poll(url)).status == 200
        assert fields == {
            "status": "Failed",
            "error": {
                "code": "VMExtensionProvisioningError",
                "message": "3 machines could not install e.",
                "details": [
                    {"code": "Http503", "message": "e: Http503"},
                    {
                        "code": "PublicAccessNotPermitted",
                        "message": "e: PublicAccessNotPermitted",
                    },
                ],
            },
        }

    play(test)


def test_a_retried_put_runs_only_where_the_extension_is_not_in_place(play: "Play") -> None:
    async def test(stage: "Stage") -> None:
        region = stage.region()
        region.codes["s-1"] = "Http503"
        await region.create(2)
        assert (await region.end(await region.install()))["status"] == "Failed"
        region.codes.clear()
        assert (await region.end(await region.install()))["status"] == "Succeeded"
        assert [len(agent.applied) for agent in region.agents.values()] == [1, 2]
        assert region.compute.effects == Counter({"s-0/e": 1, "s-1/e": 1})

    play(test)


def test_a_put_where_all_is_in_place_succeeds_at_once(play: "Play") -> None:
    async def test(stage: "Stage") -> None:
        region = stage.region()
        await region.create()
        await region.end(await region.install())
        done_at = stage.passed_s
        assert region.compute.effects == Counter({"s-0/e": 1})
        assert (await region.end(await region.install()))["status"] == "Succeeded"
        assert stage.passed_s == done_at
        assert region.compute.effects == Counter({"s-0/e": 2}), "it was asked for twice"

    play(test)


def test_two_puts_at_once_install_once(play: "Play") -> None:
    async def test(stage: "Stage") -> None:
        region = stage.region()
        await region.create()
        urls = [await region.install(), await region.install()]
        assert [(await region.end(url))["status"] for url in urls] == ["Succeeded"] * 2
        assert region.compute.effects == Counter({"s-0/e": 1})

    play(test)


def test_the_second_of_two_puts_tries_where_the_first_failed(play: "Play") -> None:
    async def test(stage: "Stage") -> None:
        region = stage.region()
        region.codes["s-0"] = "Http503"
        await region.create()
        urls = [await region.install(), await region.install()]
        await region.end(urls[0])
        region.codes.clear()
        assert (await region.end(urls[1]))["status"] == "Succeeded"
        assert stage.passed_s == BOOT_S + 20.0

    play(test)


def test_other_settings_are_installed_anew_and_are_no_duplicate(play: "Play") -> None:
    async def test(stage: "Stage") -> None:
        region = stage.region()
        await region.create()
        await region.end(await region.install())
        await region.end(await region.install(body={"properties": {"settings": {"version": "2"}}}))
        assert region.agents["s-0"].applied == [{"version": "1"}, {"version": "2"}]
        assert region.compute.effects == Counter({"s-0/e": 1})

    play(test)


def test_an_agent_installs_one_extension_after_another(play: "Play") -> None:
    async def test(stage: "Stage") -> None:
        region = stage.region()
        await region.create()
        urls = [await region.install(name=name) for name in ("e", "f")]
        for url in urls:
            await region.end(url)
        assert stage.passed_s == BOOT_S + 20.0

    play(test)


def test_machines_that_came_later_are_left_to_the_next_put(play: "Play") -> None:
    async def test(stage: "Stage") -> None:
        region = stage.region()
        await region.create()
        url = await region.install()
        await region.put(SET, {"sku": {"capacity": 2}})
        await region.end(url)
        assert list(region.compute.effects) == ["s-0/e"]
        await region.end(await region.install())
        assert list(region.compute.effects) == ["s-0/e", "s-1/e"]

    play(test)


def test_an_operation_waits_for_the_youngest_machine(play: "Play") -> None:
    async def test(stage: "Stage") -> None:
        region = stage.region()
        await region.create()
        await stage.until(30.0)
        await region.put(SET, {"sku": {"capacity": 2}})
        await region.end(await region.install())
        assert stage.passed_s == 30.0 + BOOT_S + 10.0

    play(test)


def test_an_operation_ends_even_when_an_agent_fails_in_a_way_of_its_own(play: "Play") -> None:
    async def test(stage: "Stage") -> None:
        region = stage.region()
        await region.create()
        region.agents["s-0"].at_once = 1  # makes its assertion fail
        fields = await region.end(await region.install())
        assert fields["error"]["details"][0]["code"] == "InternalExecutionError"

    with pytest.raises(SimulationError, match="one thing at a time"):
        play(test)


# Polls


def test_a_poll_is_answered_at_once_and_says_when_to_come_back(play: "Play") -> None:
    async def test(stage: "Stage") -> None:
        region = stage.region()
        await region.create()
        response = await region.poll(await region.install())
        assert (response.status, _fields(response)) == (200, {"status": "InProgress"})
        assert (response.headers["retry-after"], stage.passed_s) == ("30", 0.0)

    play(test)


@pytest.mark.parametrize(
    ("prefer", "answered_at"),
    [
        ("wait=20", 20.0),
        ("wait=3600", 50.0),
        ("wait=999999999999", 50.0),
        ("respond-async, wait=20", 20.0),
        ("wait=20, respond-async", 20.0),
        ("wait=20; strict", 20.0),
        ('Wait = "20"', 20.0),
        ("wait=0", 0.0),
        ("wait=", 0.0),
        ("wait=soon", 0.0),
        ("wait=-1", 0.0),
        ("wait=²", 0.0),
        ("await=20", 0.0),
        ("return=minimal", 0.0),
    ],
)
def test_a_poll_may_ask_to_be_held(play: "Play", prefer: str, answered_at: float) -> None:
    async def test(stage: "Stage") -> None:
        region = stage.region()
        await region.create()
        url = await region.install()
        response = await region.poll(url, prefer)
        assert stage.passed_s == answered_at
        assert _fields(response)["status"] == (
            "Succeeded" if answered_at == BOOT_S + 10.0 else "InProgress"
        )

    play(test)


def test_a_poll_is_held_an_hour_at_most(play: "Play") -> None:
    async def test(stage: "Stage") -> None:
        region = stage.region()
        region.compute.boot_s = 1e6
        await region.create()
        await region.poll(await region.install(), "wait=86400")
        assert stage.passed_s == 3_600.0

    play(test)


def test_counts_the_polls_that_were_spared(play: "Play") -> None:
    async def test(stage: "Stage") -> None:
        region = stage.region()
        region.compute.boot_s = 300.0
        await region.create()
        url = await region.install()
        await region.poll(url, "wait=95")
        assert region.compute.idle_polls == 3
        await region.poll(url)
        assert region.compute.idle_polls == 3

    play(test)


def test_what_became_of_an_operation_may_be_asked_again(play: "Play") -> None:
    async def test(stage: "Stage") -> None:
        region = stage.region()
        await region.create()
        url = await region.install()
        await region.end(url)
        assert _fields(await region.poll(url, "wait=60")) == {"status": "Succeeded"}
        assert stage.passed_s == BOOT_S + 10.0

    play(test)


@pytest.mark.parametrize("number", ["0", "x", "-1"])
def test_an_operation_that_never_was_is_not_found(play: "Play", number: str) -> None:
    async def test(stage: "Stage") -> None:
        response = await stage.region().poll(f"http://management.eastus/operations/{number}")
        assert _code(response) == (404, "OperationNotFound")

    play(test)


# Limits


def test_operations_that_ended_long_ago_are_forgotten(play: "Play") -> None:
    async def test(stage: "Stage") -> None:
        region = stage.region(operations_max=2)
        await region.create()
        urls: list[str] = []
        for _ in range(4):
            urls.append(await region.install())
            await region.end(urls[-1])
        assert [(await region.poll(url)).status for url in urls] == [404, 404, 200, 200]

    play(test)


def test_too_many_operations_at_once_are_throttled(play: "Play") -> None:
    async def test(stage: "Stage") -> None:
        region = stage.region(operations_max=2)
        await region.create()
        urls = [await region.install(), await region.install()]
        response = await region.put(f"{SET}/extensions/e", INSTALL)
        assert _code(response) == (429, "OperationNotAllowed")
        assert _fields(response)["error"]["details"][0]["code"] == "TooManyRequests"
        assert response.headers["retry-after"] == "30"
        await region.end(urls[0])
        await region.install()

    play(test)


def test_a_machine_has_room_for_so_many_extensions(play: "Play") -> None:
    async def test(stage: "Stage") -> None:
        region = stage.region(extensions_max=2)
        await region.create()
        for name in ("e", "f", "e"):
            await region.install(name=name)
        response = await region.put(f"{SET}/extensions/g", INSTALL)
        assert _code(response) == (400, "InvalidParameter")

    play(test)

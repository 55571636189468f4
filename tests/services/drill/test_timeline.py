"""Faults strike at their time; operators act when there is cause, and only then."""

import pytest

from surgetank.cloud.client import TokenTry
from surgetank.core.errors import InvalidInputError
from surgetank.rehearsal.drill.ledger import Ledger
from surgetank.rehearsal.drill.timeline import Timeline, holds
from surgetank.rehearsal.drill.world import World
from surgetank.rehearsal.scenario.condition import Condition, parse_condition
from surgetank.rehearsal.scenario.reader import load
from surgetank.runtime.simulation.clock import VirtualClock
from surgetank.runtime.simulation.loop import VirtualLoop, run
from surgetank.runtime.simulation.network import Network
from surgetank.runtime.simulation.trace import Trace

SCENARIO = load("azure-2026-02")


def played(
    *, failing: tuple[str, ...] = (), until_h: float = 13.0, variant: str = "nobody"
) -> tuple[World, Timeline]:
    """Play the timeline alone; tokens of `failing` regions fail, others succeed."""

    async def main(loop: VirtualLoop) -> tuple[World, Timeline]:
        clock = VirtualClock(loop)
        ledger = Ledger(clock, Trace())
        world = _world(loop, clock, ledger)
        timeline = Timeline(SCENARIO, variant, world, ledger, clock)
        task = loop.create_task(timeline.run())
        watches = {
            name: ledger.token_watch(name, is_own=False, consumer="any") for name in world.regions
        }
        until = SCENARIO.start.timestamp() + until_h * 3600
        while clock.now() < until:
            await clock.sleep_until(min(clock.now() + 10.0, until))
            for name, watch in watches.items():
                watch(TokenTry(is_first=True, is_ok=name not in failing))
        task.cancel()
        return world, timeline

    return run(main, start_at=SCENARIO.start.timestamp())


def _world(loop: VirtualLoop, clock: VirtualClock, ledger: Ledger) -> World:
    def names_of(region: str, machine: str) -> dict[str, str]:
        del region, machine
        return {}

    return World(
        scenario=SCENARIO,
        network=Network(loop),
        clock=clock,
        ledger=ledger,
        seed=1,
        variant=SCENARIO.variants["nobody"],
        names_of=names_of,
    )


def open_accounts(world: World) -> list[str]:
    """Names of the accounts that let the public read."""
    return [
        account.name
        for one in world.regions.values()
        for account in one.accounts
        if account.access.allow_blob_public_access
    ]


def test_the_policy_blocks_every_account_one_after_another() -> None:
    pace_s = SCENARIO.figures["policy_pace_s"].value
    a_few = played(until_h=0.05 + 3.5 * pace_s / 3600)[0]
    everyone = [account.name for one in a_few.regions.values() for account in one.accounts]
    assert open_accounts(a_few) == everyone[4:]
    assert open_accounts(played(until_h=0.2)[0]) == []


def test_repairs_open_each_region_at_its_hour() -> None:
    world, _ = played(until_h=3.0)
    repaired = [world.regions[name].accounts for name in ("westeurope", "swedencentral")]
    assert open_accounts(world) == [account.name for some in repaired for account in some]


def test_a_staged_repair_opens_one_account_after_another() -> None:
    def opened(until_h: float, *failing: str) -> int:
        world, _ = played(until_h=until_h, variant="issuer-staged-repair", failing=failing)
        return sum(one.access.allow_blob_public_access for one in world.regions["eastus"].accounts)

    assert [opened(hour) for hour in (5.9, 6.0, 6.2, 7.0)] == [0, 1, 2, 5]
    assert opened(12.0, "eastus") == 1, "a gate that does not hold lets no more through"


def test_operators_leave_a_healthy_service_alone() -> None:
    world, timeline = played()
    titles = {title for _, title, _ in timeline.acted}
    assert "traffic off, ramp" not in titles
    assert "identity scaled out" not in titles
    assert all(one.station.open_ratio == 1.0 for one in world.regions.values())


def test_operators_act_in_the_regions_that_fail() -> None:
    world, timeline = played(failing=("westus",))
    acted = [(title, region) for _, title, region in timeline.acted if region == "westus"]
    assert list(dict.fromkeys(acted)) == [
        ("West US repaired", "westus"),
        ("identity scaled out", "westus"),
        ("traffic off, ramp", "westus"),
    ]
    assert "eastus" not in {region for _, title, region in timeline.acted if "traffic" in title}
    assert world.regions["westus"].station.live_ratio() == pytest.approx(1.5)


def test_traffic_comes_back_by_degrees_and_is_taken_off_again_if_that_did_not_help() -> None:
    ratios = [
        played(failing=("westus",), until_h=hour)[0].regions["westus"].station.open_ratio
        for hour in (10.3, 10.4, 10.8, 11.2, 11.5)
    ]
    assert ratios[0] == 1.0
    assert 0.0 < ratios[1] < ratios[2] < 1.0
    assert 0.0 < ratios[3] < ratios[2], "tokens still fail: operators begin anew"


def test_an_entry_may_be_of_some_variants_only() -> None:
    def titles(variant: str) -> set[str]:
        return {title for _, title, _ in played(failing=("westus",), variant=variant)[1].acted}

    assert "playbook, traffic off at once" in titles("issuer-playbook")
    assert "playbook, traffic off at once" not in titles("nobody")
    assert "traffic off, ramp" not in titles("issuer-no-playbook")


def test_a_condition_is_read() -> None:
    read = parse_condition("identity@*.success_ratio < 0.5 for 10m")
    assert read == Condition("*", 0.5, 600.0)
    assert parse_condition("identity@eastus.success_ratio < 1 for 1m").region == "eastus"


@pytest.mark.parametrize(
    "text", ["", "identity@* < 0.5", "identity@*.success_ratio > 0.5 for 10m", "now"]
)
def test_a_condition_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError, match="success_ratio < NUMBER"):
        parse_condition(text)


def test_a_condition_holds_where_it_looks_and_only_with_evidence() -> None:
    loop = VirtualLoop()
    ledger = Ledger(VirtualClock(loop), Trace())
    watch = ledger.token_watch("eastus", is_own=False, consumer="any")
    everywhere, elsewhere = Condition("*", 0.5, 600.0), Condition("westus", 0.5, 600.0)
    assert not holds(everywhere, ledger, "eastus", now=0.0)
    watch(TokenTry(is_first=True, is_ok=False))
    assert holds(everywhere, ledger, "eastus", now=0.0)
    assert not holds(elsewhere, ledger, "eastus", now=0.0)
    assert not holds(everywhere, ledger, "eastus", now=601.0)
    loop.close()


def test_the_scenario_that_ships_scripts_no_overload() -> None:
    faults = [entry.fault for entry in SCENARIO.timeline if entry.fault is not None]
    assert [fault.kind for fault in faults] == ["remediation"]

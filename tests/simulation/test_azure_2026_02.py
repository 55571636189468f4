"""What azure-2026-02 claims, over twenty seeds. Minutes: run by `make test-long`."""

from datetime import UTC, datetime

import pytest

from surgetank.app.wiring import quiet_logs
from surgetank.rehearsal.drill.outage import Outage
from surgetank.rehearsal.drill.play import Run
from surgetank.rehearsal.drill.session import drill
from surgetank.rehearsal.scenario.reader import load

pytestmark = pytest.mark.slow

SCENARIO = load("azure-2026-02")
SEEDS = list(range(1, 21))
PUBLISHED_AT = datetime(2026, 2, 3, 0, 8, tzinfo=UTC).timestamp()
TRAFFIC_OFF_AT = datetime(2026, 2, 3, 4, 20, tzinfo=UTC).timestamp()
US = ("eastus", "westus")
EUROPE = ("westeurope", "swedencentral")


@pytest.fixture(scope="module")
def runs() -> dict[str, list[Run]]:
    """All seeds of the variants that claims are made of."""
    variants = ["nobody", "you-1pct", "everybody-all"]
    found = drill(
        SCENARIO,
        variants=variants,
        seeds=SEEDS,
        jobs=2,
        on_run=lambda run: print(run.variant, run.seed, run.metrics),  # noqa: T201 - minutes pass
        prepare=quiet_logs,
    )
    return {name: [run for run in found if run.variant == name] for name in variants}


def is_as_published(outages: list[Outage]) -> bool:
    """One long outage: begins within an hour of 00:08, and lasts until traffic is taken off."""
    long = [one for one in outages if one.end_at - one.start_at > 3600]
    return (
        len(long) == 1
        and abs(long[0].start_at - PUBLISHED_AT) <= 3600
        and long[0].end_at > TRAFFIC_OFF_AT
    )


def test_nobody_the_second_outage_emerges_in_the_us_regions_alone(
    runs: dict[str, list[Run]],
) -> None:
    good = [
        run.seed
        for run in runs["nobody"]
        if all(is_as_published(run.outages.identity[region]) for region in US)
        and not any(run.outages.identity[region] for region in EUROPE)
    ]
    assert len(good) >= 18, f"only seeds {good}"


def test_everybody_all_nobody_is_blocked_and_nothing_lost(runs: dict[str, list[Run]]) -> None:
    bad = [
        run.seed
        for run in runs["everybody-all"]
        if any(run.outages.identity.values())
        or run.metrics["operations_lost"] != 0
        or run.metrics["operations_duplicated"] != 0
        or float(str(run.metrics["fresh_success_ratio"])) < 0.999
    ]
    assert bad == []


def test_you_your_own_figures_improve_and_the_clouds_do_not(runs: dict[str, list[Run]]) -> None:
    for nobody, you in zip(runs["nobody"], runs["you-1pct"], strict=True):
        for metric in ("own_fresh_success_ratio", "own_token_success_ratio"):
            assert float(str(you.metrics[metric])) > float(str(nobody.metrics[metric])), you.seed
        for region in US:
            assert is_as_published(you.outages.identity[region]), you.seed


@pytest.mark.parametrize("variant", ["nobody", "everybody-governor"])
def test_a_whole_drill_repeats_in_another_process(variant: str) -> None:
    hashes = {
        run.trace_hash
        for _ in range(2)
        for run in drill(
            SCENARIO,
            variants=[variant],
            seeds=[1, 1],
            jobs=2,
            on_run=lambda _: None,
            prepare=quiet_logs,
        )
    }
    assert len(hashes) == 1

"""Short runs with the real services: what a run tells, and that its parts agree with one another.

Reads are blocked after some minutes and stay so. Whoever waits for a machine in a pool gives up
after ten minutes, so that some of what was asked for is wanted no more.
"""

from collections import Counter
from datetime import timedelta
from itertools import pairwise

import pytest

from surgetank.control.view import MEANINGS
from surgetank.rehearsal.drill.ledger import Fate, Wanted
from surgetank.rehearsal.drill.play import Run, play
from surgetank.rehearsal.drill.series import EVERY_S
from surgetank.rehearsal.scenario.metric import METRICS, Key
from surgetank.rehearsal.scenario.reader import load
from surgetank.rehearsal.scenario.schema import (
    ANONYMOUS,
    NodePools,
    Readers,
    Reads,
    RunnerPools,
    Scenario,
    Seat,
    Variant,
)

FULL = load("azure-2026-02")
MINUTES = 45
VARIANTS = ["nobody", "you-1pct", "everybody-governor"]
GOVERNED = "everybody-governor"
COUNTS = [f"operations_{fate.value}" for fate in Fate]


def short(minutes: int) -> Scenario:
    changed = {"work_patience_s": 600.0, "deadline_s": 900.0}
    fleet = tuple(
        one.model_copy(update=changed) if isinstance(one, NodePools | RunnerPools) else one
        for one in FULL.fleet
    )
    return FULL.model_copy(
        update={"end": FULL.start + timedelta(minutes=minutes), "fleet": fleet, "own_share": 0.25}
    )


SHORT = short(MINUTES)


@pytest.fixture(scope="module")
def runs() -> dict[str, Run]:
    return {variant: play(SHORT, variant, seed=1) for variant in VARIANTS}


@pytest.fixture(params=VARIANTS)
def one(runs: dict[str, Run], request: pytest.FixtureRequest) -> Run:
    """A run of each variant."""
    return runs[request.param]


@pytest.fixture
def governed(runs: dict[str, Run]) -> Run:
    return runs[GOVERNED]


def keys_of(kind: Key) -> set[str]:
    """All keys that a metric of this kind may have."""
    return {
        Key.NONE: set[str](),
        Key.REGION: set(SHORT.cloud.regions),
        Key.POOL: set(SHORT.pools()),
        Key.READERS: {fleet.name for fleet in SHORT.fleet if isinstance(fleet, Readers)},
        Key.WAY: {*Reads.model_fields, ANONYMOUS},
        Key.MODE: set(MEANINGS),
        Key.MILESTONE: {milestone.name for milestone in SHORT.published},
        Key.INSTANT: {f"2026-02-02T18:{minute}:00Z" for minute in range(10, MINUTES + 1, 10)},
    }[kind]


def test_a_run_measures_every_metric_that_scenarios_may_name_and_no_other(one: Run) -> None:
    assert list(one.metrics) == list(METRICS)


@pytest.mark.parametrize("name", [name for name, key in METRICS.items() if key is Key.NONE])
def test_a_metric_without_keys_is_one_number_or_none(name: str, one: Run) -> None:
    value = one.metrics[name]
    assert value is None or isinstance(value, (int, float))
    assert not isinstance(value, bool)


@pytest.mark.parametrize("name", [name for name, key in METRICS.items() if key is not Key.NONE])
def test_a_metric_with_keys_is_a_mapping_of_numbers_by_keys_of_its_kind(
    name: str, one: Run
) -> None:
    value = one.metrics[name]
    assert isinstance(value, dict)
    assert value.keys() <= keys_of(METRICS[name])
    assert all(isinstance(number, (int, float)) for number in value.values())


@pytest.mark.parametrize("kind", [Key.REGION, Key.POOL, Key.READERS, Key.INSTANT])
def test_every_region_pool_reader_and_instant_is_told(kind: Key, one: Run) -> None:
    for name, key in METRICS.items():
        if key is kind:
            value = one.metrics[name]
            assert isinstance(value, dict)
            assert value.keys() == keys_of(kind), name


def test_every_operation_has_one_fate_and_none_is_lost(one: Run) -> None:
    fates = Counter(wanted.fate for wanted in one.wanted)
    assert {f"operations_{fate.value}": fates[fate] for fate in Fate} == {
        name: one.metrics[name] for name in COUNTS
    }
    assert one.metrics["operations_submitted"] == len(one.wanted) == fates.total()
    assert (fates[Fate.LOST], fates[Fate.UNKNOWN]) == (0, 0)


def test_what_happened_to_an_operation_is_told_in_order_of_time(one: Run) -> None:
    end_at = SHORT.end.timestamp()
    for wanted in one.wanted:
        instants = [wanted.submitted_at, *(moment.at for moment in wanted.moments), end_at]
        assert all(before <= after for before, after in pairwise(instants)), wanted.key


def test_what_goes_on_after_the_end_is_not_told() -> None:
    run = play(short(4), GOVERNED, seed=1)
    assert any(wanted.moments[-1].what == "called" for wanted in run.wanted)
    last_at = max(moment.at for wanted in run.wanted for moment in wanted.moments)
    assert last_at < run.series.at[-1] + 60.0 == short(4).end.timestamp()


def test_what_happened_to_an_operation_begins_with_a_call_and_ends_with_its_fate(one: Run) -> None:
    for wanted in one.wanted:
        assert (wanted.moments[0].step, wanted.moments[0].what) == ("create", "called")
        if wanted.fate is not Fate.OPEN:
            last = wanted.moments[-1]
            assert (last.step, last.what, last.at) == ("", wanted.fate.value, wanted.ended_at)


def test_every_call_of_an_operation_that_ended_has_its_answer(one: Run) -> None:
    for wanted in one.wanted:
        calls = [moment for moment in wanted.moments if moment.what == "called"]
        answers = [moment for moment in wanted.moments if moment.step and moment.what != "called"]
        still = wanted.fate is Fate.OPEN and len(calls) == len(answers) + 1
        assert still or [call.step for call in calls] == [answer.step for answer in answers]


def test_an_operation_that_waits_says_why_and_until_when(governed: Run) -> None:
    waits = [one for wanted in governed.wanted for one in wanted.moments if one.what == "waits"]
    assert len(waits) > 20
    assert all(one.until is not None and one.until >= one.at for one in waits)
    assert any("PublicAccessNotPermitted" in one.why for one in waits)


def ended(run: Run, fate: Fate) -> list[Wanted]:
    return [wanted for wanted in run.wanted if wanted.fate is fate]


def test_what_the_store_says_of_covered_operations_that_ended_is_told(governed: Run) -> None:
    done = [wanted for wanted in governed.wanted if wanted.fate is not Fate.OPEN]
    assert len(done) > 20
    for wanted in done:
        assert wanted.is_covered
        assert wanted.first_is_ok is not None
        assert wanted.ended_at is not None
        assert wanted.submitted_at < wanted.ended_at < SHORT.end.timestamp()


def test_asks_that_nobody_wants_any_more_are_coalesced_under_the_safeguards(governed: Run) -> None:
    coalesced = ended(governed, Fate.COALESCED)
    assert len(coalesced) > 10
    assert {wanted.fleet for wanted in coalesced} <= set(SHORT.pools())
    assert all("nobody wants it" in wanted.moments[-1].why for wanted in coalesced)
    assert not any(wanted.first_is_ok for wanted in coalesced)


def test_nothing_is_withdrawn_from_an_orchestrator_without_safeguards(
    runs: dict[str, Run],
) -> None:
    assert ended(runs["nobody"], Fate.COALESCED) == []
    assert {wanted.is_covered for wanted in ended(runs["you-1pct"], Fate.COALESCED)} <= {True}


def test_pools_whose_work_gave_up_are_told_of(one: Run) -> None:
    given_up, submitted = one.metrics["pool_work_given_up"], one.metrics["pool_work_submitted"]
    assert isinstance(given_up, dict)
    assert isinstance(submitted, dict)
    assert all(0 < given_up[name] < submitted[name] for name in SHORT.pools())


def test_every_column_of_a_series_is_as_long_as_its_instants(one: Run) -> None:
    rows = len(one.series.at)
    assert rows == MINUTES - 1, "the last minute ends with the drill"
    for region in one.series.regions.values():
        columns = [getattr(region, name) for name in type(region).__slots__]
        assert {len(column) for column in columns} == {rows}
    for governor in one.series.governors.values():
        columns = [governor.mode, governor.rate_per_s, governor.waits_for, governor.takes]
        assert {governor.first_row + len(column) for column in columns} == {rows}


def test_a_series_counts_what_its_metrics_count(one: Run) -> None:
    assert max(one.series.backlog) == one.metrics["backlog_peak"]
    for region in one.series.regions.values():
        assert 0 < sum(region.reads_refused) < sum(region.reads)
        assert sum(region.tokens_served) <= sum(region.tokens_offered)
        assert sum(region.tokens_failed) <= sum(region.tokens_tried)


def test_governors_are_told_of_only_where_there_are_some(runs: dict[str, Run]) -> None:
    assert runs["nobody"].series.governors == {}
    modes = runs[GOVERNED].series.governors["artifacts@eastus"].mode
    assert "open" in modes


def test_time_in_modes_is_that_of_all_governors(governed: Run) -> None:
    by_mode = governed.metrics["governor_mode_s"]
    assert isinstance(by_mode, dict)
    rows = [len(one.mode) for one in governed.series.governors.values()]
    assert sum(by_mode.values()) == EVERY_S * sum(rows) > 0


def test_without_governors_no_time_is_spent_in_modes(runs: dict[str, Run]) -> None:
    assert runs["nobody"].metrics["governor_mode_s"] == {}


def test_yours_is_the_same_work_in_every_variant(runs: dict[str, Run]) -> None:
    """Of what arrives alike: pools ask again as it suits their safeguards."""

    def arrived(run: Run) -> list[tuple[str, float, bool, str]]:
        fleets = {"machines", "scale-sets"}
        return [
            (one.key, one.submitted_at, one.is_own, one.way)
            for one in run.wanted
            if one.fleet in fleets
        ]

    alike = [arrived(run) for run in runs.values()]
    assert alike[0] == alike[1] == alike[2]
    assert {is_own for _, _, is_own, _ in alike[0]} == {True, False}


def test_who_is_covered_follows_the_seat(runs: dict[str, Run]) -> None:
    assert not any(one.is_covered for one in runs["nobody"].wanted)
    assert all(one.is_covered for one in runs[GOVERNED].wanted)
    assert all(one.is_covered is one.is_own for one in runs["you-1pct"].wanted)


SDK = Variant(title="today", seat=Seat.EVERYBODY, share=1.0, release="sdk")
EVERY = {**FULL.variants, "sdk": SDK}


@pytest.mark.parametrize("name", EVERY)
def test_every_variant_can_be_played(name: str) -> None:
    run = play(short(6).model_copy(update={"variants": EVERY}), name, seed=2)
    assert len(run.wanted) > 10
    assert (run.metrics["operations_lost"], run.metrics["operations_duplicated"]) == (0, 0)
    assert all(wanted.is_covered for wanted in run.wanted) is (EVERY[name].share == 1.0)

"""A variant's governor runs our release law or a peer's, by the names of the bench."""

from datetime import timedelta
from typing import get_args

import pytest
from pydantic import ValidationError

from surgetank.rehearsal.drain.law import LAWS
from surgetank.rehearsal.drill.play import play
from surgetank.rehearsal.drill.release_law import RATE_PER_S_MIN, governor_policy
from surgetank.rehearsal.scenario.reader import load
from surgetank.rehearsal.scenario.schema import ReleaseName, Seat, Variant

FULL = load("azure-2026-02")
NAMES: tuple[ReleaseName, ...] = get_args(ReleaseName)
MINUTES = 8


def variant(name: ReleaseName) -> Variant:
    return Variant(title="it", seat=Seat.EVERYBODY, share=1.0, release=name)


OWN_NAMES: list[ReleaseName] = [name for name in NAMES if variant(name).release == name]
"""Each law once."""


@pytest.mark.parametrize("name", LAWS)
def test_every_law_of_the_bench_can_be_named(name: str) -> None:
    assert name in NAMES


def test_no_two_names_are_one_law_but_those_that_say_so() -> None:
    laws = {type(governor_policy(FULL, name, lost_s=1.0).law) for name in OWN_NAMES}
    assert len(laws) == len(OWN_NAMES) == len(NAMES) - 2 == len(LAWS)


@pytest.mark.parametrize(("name", "own"), [("surgetank", "adaptive"), ("sdk-backoff", "sdk")])
def test_what_the_bench_calls_otherwise_is_known_by_one_name(
    name: ReleaseName, own: ReleaseName
) -> None:
    assert variant(name) == variant(own)


def test_a_law_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValidationError, match="'gradient2'"):
        Variant.model_validate({"title": "it", "seat": "you", "share": 1, "release": "gradient"})


@pytest.mark.parametrize("name", OWN_NAMES)
def test_only_sdks_have_neither_breaker_nor_budget(name: ReleaseName) -> None:
    policy = governor_policy(FULL, name, lost_s=1.0)
    assert (policy.breaker is None) is (policy.budget is None) is (name == "sdk")


@pytest.mark.parametrize("scale", ["1:1000", "1:10"])
@pytest.mark.parametrize("name", ["adaptive", "steps", "doubling", "doubling-gated", "bbr", "pi"])
def test_the_least_pace_is_of_the_size_of_the_replica(name: ReleaseName, scale: str) -> None:
    scenario = FULL.model_copy(update={"scale": scale})
    law = governor_policy(scenario, name, lost_s=1.0).law
    assert getattr(law, "rate_per_s_min", None) == RATE_PER_S_MIN / scenario.divisor


@pytest.mark.parametrize("name", OWN_NAMES)
def test_every_law_plays(name: ReleaseName) -> None:
    short = {"end": FULL.start + timedelta(minutes=MINUTES), "variants": {"it": variant(name)}}
    run = play(FULL.model_copy(update=short), "it", seed=1)
    assert len(run.series.governors["artifacts@eastus"].mode) > MINUTES / 2
    assert run.metrics["operations_succeeded"]
    assert (run.metrics["operations_lost"], run.metrics["operations_duplicated"]) == (0, 0)

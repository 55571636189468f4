"""A scenario expects something of a metric by its name, and by a key where it has keys."""

from typing import Any

import pytest
from pydantic import ValidationError

from surgetank.control.view import MEANINGS
from surgetank.rehearsal.scenario.metric import METRICS, Key
from surgetank.rehearsal.scenario.reader import load
from surgetank.rehearsal.scenario.schema import ANONYMOUS, Expectation, Readers, Scenario

FULL = load("azure-2026-02")
DATA: dict[str, Any] = FULL.model_dump(by_alias=True)
GOOD: dict[Key, list[dict[str, str]]] = {
    Key.NONE: [{}],
    Key.REGION: [{"region": name} for name in FULL.cloud.regions],
    Key.POOL: [{"of": name} for name in FULL.pools()],
    Key.READERS: [{"of": one.name} for one in FULL.fleet if isinstance(one, Readers)],
    Key.WAY: [{"of": way} for way in ("sas", "identity", "private_endpoint", ANONYMOUS)],
    Key.MODE: [{"of": mode} for mode in MEANINGS],
    Key.MILESTONE: [{"of": one.name} for one in FULL.published],
    Key.INSTANT: [],
}
KINDS = sorted(set(METRICS.values()))


def metric_of(kind: Key) -> str:
    return next(name for name, key in METRICS.items() if key is kind)


def expecting(metric: str, **said: str) -> Scenario:
    """The scenario with one expectation."""
    expect = {"variant": "nobody", "metric": metric, "over": "max", "at_most": 1, **said}
    return Scenario.model_validate({**DATA, "expect": [expect]})


def test_every_kind_of_key_is_of_some_metric() -> None:
    assert set(KINDS) == set(Key)


@pytest.mark.parametrize("kind", KINDS)
def test_a_metric_takes_every_key_of_its_kind(kind: Key) -> None:
    for keys in GOOD[kind]:
        (expectation,) = expecting(metric_of(kind), **keys).expect
        assert expectation.key == (next(iter(keys.values())) if keys else None)


@pytest.mark.parametrize("kind", KINDS)
def test_a_metric_takes_no_key_of_another_kind(kind: Key) -> None:
    others = [keys for other in Key if other is not kind for keys in GOOD[other]]
    for keys in (*others, {"of": "nobody knows"}, {"region": "mars"}):
        with pytest.raises(ValidationError, match=metric_of(kind)):
            expecting(metric_of(kind), **keys)


def test_a_metric_with_keys_is_named_with_one() -> None:
    keyed = [kind for kind in Key if kind not in (Key.NONE, Key.INSTANT)]
    for kind in keyed:
        with pytest.raises(ValidationError, match=f"{metric_of(kind)} needs `(region|of)`: one of"):
            expecting(metric_of(kind))


def test_one_key_is_enough() -> None:
    with pytest.raises(ValidationError, match="either `region` or `of`"):
        expecting(metric_of(Key.REGION), region="eastus", of="eastus")


def test_what_is_for_plots_is_expected_of_nobody() -> None:
    for keys in ({}, {"of": "2026-02-02T18:10:00Z"}):
        with pytest.raises(ValidationError, match="backlog_at is for plots"):
            expecting("backlog_at", **keys)


def test_where_there_is_nothing_to_name_the_refusal_says_so() -> None:
    alone = {
        **DATA,
        "fleet": [one for one in DATA["fleet"] if one["kind"] == "machine"],
        "published": [],
        "expect": [{"variant": "nobody", "metric": "pool_zombies", "over": "max", "at_most": 1}],
    }
    with pytest.raises(ValidationError, match="none in this scenario"):
        Scenario.model_validate(alone)


@pytest.mark.parametrize("said", [{}, {"at_least": 0, "at_most": 1}])
def test_an_expectation_has_one_bound(said: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match="either `at_least` or `at_most`"):
        Expectation.model_validate({"variant": "v", "metric": "m", "over": "max", **said})

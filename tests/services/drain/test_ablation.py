"""Ours with one part changed is what the name says, and is played only when asked for."""

from collections.abc import Callable

import pytest

from surgetank.rehearsal.drain import law as laws
from surgetank.rehearsal.drain.ablation import ABLATED
from surgetank.rehearsal.drain.bench import ablated_names, law_names
from surgetank.rehearsal.drain.world import World

CHANGED = {
    "surgetank-no-probe": {"probe_period_s"},
    "surgetank-no-shed": {"shed_share"},
    "surgetank-no-tail": {"high_share"},
    "surgetank-fixed-target": {"delay_share_max"},
    "surgetank-double": {"ramp_growth"},
    "surgetank-slow-ramp": {"ramp_growth"},
    "surgetank-wide-start": {"window_start"},
    "surgetank-5-results": set[str](),
    "surgetank-30-results": set[str](),
}


def test_no_change_of_ours_is_played_unless_it_is_named() -> None:
    assert set(law_names()).isdisjoint(ablated_names())


def test_every_change_can_be_played_bare_and_wrapped() -> None:
    both = [name + end for name in CHANGED for end in ("", "+breaker")]
    assert ablated_names() == both


@pytest.mark.parametrize("name", ABLATED)
def test_a_change_leaves_all_other_settings_as_ours_has_them(
    world: Callable[..., World], name: str
) -> None:
    one = world(workers=3, is_shared=False)
    ours = laws.LAWS["surgetank"].policy(one).parameters()._asdict()
    changed = laws.entry(name).policy(one).parameters()._asdict()
    assert {key for key, value in changed.items() if value != ours[key]} == CHANGED[name]


@pytest.mark.parametrize(
    ("name", "samples"),
    [("surgetank-5-results", 5), ("surgetank-30-results", 30), ("surgetank-no-probe", 12)],
)
def test_a_change_of_evidence_is_of_the_results_alone(name: str, samples: int) -> None:
    ours, changed = laws.LAWS["surgetank"].evidence, laws.entry(name).evidence
    assert ours is not None
    assert changed is not None
    assert changed.samples_min == samples
    assert changed.interval_s_max == ours.interval_s_max

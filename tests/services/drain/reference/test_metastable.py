"""The published retry experiment: each of its four outcomes, and how much of it is a choice."""

import pytest

from surgetank.rehearsal.drain.reference import metastable
from surgetank.rehearsal.drain.reference.metastable import EXPERIMENTS, Experiment

SEED = 1
UTILISATION = 0.38
BASELINE, METASTABLE, SHORTER, LIGHTER = EXPERIMENTS


def recovered(experiment: Experiment, *, utilisation: float = UTILISATION) -> bool:
    return metastable.replay(experiment, utilisation=utilisation, seed=SEED).recovered


def test_a_cut_of_78_percent_for_10_s_recovers() -> None:
    assert recovered(BASELINE), f"seed {SEED}"


def test_a_cut_of_80_percent_for_10_s_stays_down() -> None:
    assert not recovered(METASTABLE), f"seed {SEED}"


def test_a_cut_of_80_percent_for_9_s_recovers() -> None:
    assert recovered(SHORTER), f"seed {SEED}"


def test_a_cut_of_80_percent_for_10_s_under_30_percent_less_load_recovers() -> None:
    assert recovered(LIGHTER), f"seed {SEED}"


def test_the_load_of_the_script_which_is_25_percent_less_recovers_too() -> None:
    assert recovered(LIGHTER._replace(load_ratio=0.75)), f"seed {SEED}"


def test_what_stays_down_is_held_down_by_five_calls_an_operation() -> None:
    ending = metastable.replay(METASTABLE, utilisation=UTILISATION, seed=SEED)
    assert ending.amplification == pytest.approx(5.0, rel=0.05)


def test_what_stays_down_serves_hardly_anybody() -> None:
    ending = metastable.replay(METASTABLE, utilisation=UTILISATION, seed=SEED)
    assert ending.goodput_ratio < 0.05


def test_under_less_load_no_run_stays_down() -> None:
    assert metastable.agreeing(utilisation=0.34, seed=SEED) == 3


def test_under_more_load_all_but_the_lightest_stay_down() -> None:
    assert metastable.agreeing(utilisation=0.41, seed=SEED) == 2


def test_one_resend_holds_nothing_down() -> None:
    ending = metastable.replay(METASTABLE, utilisation=UTILISATION, seed=SEED, resends=1)
    assert ending.recovered, f"seed {SEED}"


def test_another_timeout_has_another_load_of_the_same_outcomes() -> None:
    assert metastable.agreeing(utilisation=0.59, seed=SEED, timeout_s=5.0) == len(EXPERIMENTS)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 6))
@pytest.mark.parametrize("utilisation", [0.37, 0.375, 0.38, 0.385])
def test_a_range_of_loads_ends_as_published(utilisation: float, seed: int) -> None:
    assert metastable.agreeing(utilisation=utilisation, seed=seed) == len(EXPERIMENTS)

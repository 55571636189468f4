"""The bench's own compiled world beside exact values; the runs are slow, the values are not."""

import math

import pytest

from surgetank.rehearsal.drain.reference import bench_world, retry_chain
from surgetank.rehearsal.drain.reference.bench_world import TICK_S, tick_means
from surgetank.rehearsal.drain.reference.comparison import Row
from surgetank.rehearsal.drain.reference.retry_chain import RetryChain, lost_by_clock

SEED = 1
RUNS = 3
CONTINUOUS = retry_chain.means(
    RetryChain(
        arrivals_per_s=5.0,
        services_per_s=10.0,
        timeout_s=0.3,
        tries=1,
        lost=lost_by_clock(services_per_s=10.0, timeout_s=0.3, queue_max=10),
    )
)


def agree(rows: list[Row], name: str) -> None:
    row = next(row for row in rows if row.name == name)
    assert row.agrees, f"seed {SEED}: {row}, off by {row.difference:+.2%}"


@pytest.fixture(scope="module")
def crowd_rows() -> list[Row]:
    return bench_world.crowd_rows(runs=RUNS, seed=SEED)


@pytest.fixture(scope="module")
def fault_rows() -> list[Row]:
    return bench_world.fault_rows(runs=RUNS, seed=SEED)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["calls in the queue", "share of work wasted"])
def test_others_calls_wait_and_are_wasted_as_can_be_known(crowd_rows: list[Row], name: str) -> None:
    agree(crowd_rows, name)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["calls in the queue", "retries an operation"])
def test_fresh_calls_wait_and_are_tried_again_as_can_be_known(
    fault_rows: list[Row], name: str
) -> None:
    agree(fault_rows, name)


def test_a_queue_in_ticks_lacks_half_a_tick_of_arrivals() -> None:
    means = tick_means(5.0, queue_max=10)
    assert means.queue + 5.0 * TICK_S / 2 == pytest.approx(CONTINUOUS.queue, rel=1e-3)


def test_ticks_change_little_of_what_is_wasted() -> None:
    means = tick_means(5.0, queue_max=10)
    assert means.wasted_ratio == pytest.approx(CONTINUOUS.wasted_ratio, rel=0.02)


def test_a_queue_of_one_place_is_taken_as_the_formula_says() -> None:
    come, stay = 1.0 - math.exp(-5.0 * TICK_S), math.exp(-10.0 * TICK_S)
    taken = come * stay / (1 - stay + come * stay)
    assert tick_means(5.0, queue_max=1).queue == pytest.approx(taken)

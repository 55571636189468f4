"""Garbage collection of a long-lived process."""

import gc
from collections.abc import Generator

import pytest

from surgetank.runtime.live.memory import OLDER_EVERY, YOUNG_MAX, collect_seldom


@pytest.fixture(autouse=True)
def _as_before() -> Generator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


def test_what_stands_is_not_looked_at_again() -> None:
    kept = [list[object]() for _ in range(1_000)]

    collect_seldom()

    assert gc.get_freeze_count() >= len(kept)
    assert not any(each is kept for generation in range(3) for each in gc.get_objects(generation))


def test_new_garbage_in_a_ring_is_still_collected() -> None:
    collect_seldom()
    collections = gc.get_stats()[0]["collections"]

    for _ in range(3 * YOUNG_MAX):
        ring: list[object] = []
        ring.append(ring)

    assert gc.get_stats()[0]["collections"] >= collections + 2
    assert gc.get_count()[0] < 2 * YOUNG_MAX
    assert gc.get_threshold() == (YOUNG_MAX, OLDER_EVERY, OLDER_EVERY)

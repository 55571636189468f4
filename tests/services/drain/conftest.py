from collections.abc import Callable
from typing import Any

import pytest

from surgetank.rehearsal.drain.summary import Run
from surgetank.rehearsal.drain.world import World


@pytest.fixture
def world() -> Callable[..., World]:
    """Make a world of 100 calls a second, 30 of them fresh, with some keys otherwise."""

    def make(**keys: object) -> World:
        usual: dict[str, object] = {
            "title": "plain",
            "capacity_per_s": 100.0,
            "fresh_ratio": 0.3,
            "backlog": 7_000,
            "timeout_s": 2.0,
            "latency_s": 0.04,
            "queue_max": 300,
        }
        return World.model_validate(usual | keys)

    return make


@pytest.fixture
def run() -> Callable[..., Run]:
    """Make what came of a run: drained in 110 s, without harm, but for what is given."""

    def make(**facts: Any) -> Run:
        usual: dict[str, Any] = {
            "law": "aimd",
            "world": "plain",
            "seed": 1,
            "drained_s": 110.0,
            "fresh_success": 1.0,
            "fresh_restored_s": None,
            "overload_s": 0.0,
            "wasted_ratio": 0.0,
            "shed_ratio": 0.0,
            "requests": 10_000,
        }
        return Run(**usual | facts)

    return make

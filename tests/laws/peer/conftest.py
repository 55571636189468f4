"""Intervals for the laws of others, made in one place."""

from collections.abc import Callable

import pytest

from surgetank.control.evidence import Interval


@pytest.fixture(scope="session")
def make_interval() -> Callable[..., Interval]:
    """An interval that ended at `at`, healthy but for what is said."""

    def make(at: float, **said: float) -> Interval:
        ok = int(said.pop("ok", 60))
        bad = int(said.pop("bad", 0))
        mean_s = said.pop("mean_s", 0.1)
        interval = Interval(
            ended_at=at,
            span_s=said.pop("span_s", 1.0),
            ok=ok,
            bad=bad,
            throttled=int(said.pop("throttled", 0)),
            backlog_ok=int(said.pop("backlog_ok", ok)),
            backlog_bad=int(said.pop("backlog_bad", bad)),
            held=int(said.pop("held", 1)),
            shed=int(said.pop("shed", 0)),
            in_flight_peak=int(said.pop("peak", 20)),
            latency_count=int(said.pop("count", ok)),
            latency_low_s=said.pop("low_s", mean_s),
            latency_high_s=said.pop("high_s", mean_s),
            latency_mean_s=mean_s,
            latency_least_s=said.pop("least_s", mean_s),
        )
        assert not said, f"not a number of an interval: {said}"
        return interval

    return make

import asyncio
from itertools import pairwise
from math import inf

import pytest

from surgetank.testing import (
    CallWanted,
    DependencyError,
    Fault,
    InvalidInputError,
    Load,
    Stage,
    StationPolicy,
    play,
)


def load_of(outcomes: str, *, calls_made: int = 0) -> Load:
    """One call a second that took half of one: `.` went well, `x` did not."""
    calls = tuple(
        CallWanted(float(second), second + 0.5, None if outcome == "." else "LookupError")
        for second, outcome in enumerate(outcomes)
        if outcome != " "
    )
    return Load(calls, calls_made, 0.0, float(len(outcomes)))


# Measures


@pytest.mark.parametrize(
    ("outcomes", "recovered_at"),
    [
        ("." * 40, 0.0),
        ("." * 10 + "x" * 10 + "." * 20, 20.0),
        ("." * 10 + "x" * 10 + "." * 10 + "x" * 2 + "." * 18, 40.0),
        ("." * 10 + "x" + "." * 29, 0.0),  # nine of ten are well enough
        ("." * 30 + "x" * 10, inf),
        ("x" * 10 + " " * 20 + "." * 10, 10.0),
        ("." * 10 + "x" * 10 + " " * 20, inf),
    ],
)
def test_when_it_recovered(outcomes: str, recovered_at: float) -> None:
    assert load_of(outcomes).recovered_at() == recovered_at


def test_recovery_is_as_strict_as_is_asked() -> None:
    load = load_of("." * 10 + "x" + "." * 29)
    assert load.recovered_at(ratio=1.0, window_s=5.0) == 15.0


@pytest.mark.parametrize(("ratio", "window_s"), [(-0.1, 1.0), (1.1, 1.0), (0.5, 0.0)])
def test_recovery_by_no_sensible_rule_is_refused(ratio: float, window_s: float) -> None:
    with pytest.raises(InvalidInputError, match="out of range"):
        load_of("..").recovered_at(ratio=ratio, window_s=window_s)


def test_success_is_counted_by_when_a_call_was_wanted() -> None:
    load = load_of("..xx....")
    assert [load.success_ratio(), load.success_ratio(2.0, 4.0), load.success_ratio(4.0)] == [
        0.75, 0.0, 1.0,
    ]  # fmt: skip


def test_a_window_without_calls_has_no_success_ratio() -> None:
    with pytest.raises(InvalidInputError, match="no call was wanted"):
        load_of("....").success_ratio(4.0, 8.0)


def test_goodput_is_counted_by_when_a_call_ended() -> None:
    load = load_of("..xx....")
    assert [load.goodput_per_s(0.5, 1.5), load.goodput_per_s(0.0, 8.0)] == [1.0, 0.75]


def test_goodput_of_no_time_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="not after"):
        load_of("....").goodput_per_s(2.0, 2.0)


def test_amplification_is_calls_made_per_call_wanted() -> None:
    assert load_of("....", calls_made=10).amplification == 2.5


def test_a_line_says_what_came_of_it() -> None:
    assert repr(load_of("..x", calls_made=7)) == (
        "<Load of 3 calls wanted, 7 made: 2 well, 1 LookupError>"
    )


# Making load


async def test_callers_come_evenly_and_not_in_step(stage: Stage) -> None:
    service = stage.scripted_service([200])
    load = await stage.load(service.call, rate_per_s=2.0, lasts_s=50.0)
    assert [int(call.wanted_at * 2.0) for call in load.calls] == list(range(100))
    assert len({round(b.wanted_at - a.wanted_at, 9) for a, b in pairwise(load.calls)}) > 50


async def test_retries_are_counted_as_calls_made(stage: Stage) -> None:
    service = stage.scripted_service([503])

    async def three_times() -> None:
        for _ in range(3):
            with pytest.raises(DependencyError):
                await service.call()

    load = await stage.load(three_times, rate_per_s=1.0, lasts_s=10.0)
    assert (load.calls_wanted, load.calls_made, load.amplification) == (10, 30, 3.0)


async def test_only_what_was_called_meanwhile_is_counted(stage: Stage) -> None:
    service = stage.scripted_service([200])
    await service.call()
    load = await stage.load(service.call, rate_per_s=1.0, lasts_s=10.0)
    assert load.calls_made == 10


async def test_calls_that_take_too_long_are_given_up_on(stage: Stage) -> None:
    service = stage.scripted_service([Fault.HANG])

    async def patiently() -> None:
        await service.call(timeout_s=1_000.0)

    load = await stage.load(patiently, rate_per_s=1.0, lasts_s=2.0, settle_s=5.0)
    assert load.errors == {"unfinished": 2}
    assert {call.ended_at for call in load.calls} == {inf}
    assert stage.now_s == load.ended_at == 7.0


async def test_a_load_that_is_cut_short_leaves_no_callers(stage: Stage) -> None:
    service = stage.scripted_service([200])
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(5.0):
            await stage.load(service.call, rate_per_s=1.0, lasts_s=100.0)
    await stage.clock.sleep_until(stage.clock.now() + 100.0)
    assert service.calls <= 5


def test_an_assertion_in_the_code_under_test_fails_the_test() -> None:
    async def main(stage: Stage) -> None:
        service = stage.scripted_service([200])

        async def check() -> None:
            assert (await service.call()).body == b"something else"

        await stage.load(check, rate_per_s=1.0, lasts_s=2.0)

    with pytest.raises(AssertionError, match="something else"):
        play(main)


async def test_code_that_fails_before_it_calls_is_the_tests_mistake(stage: Stage) -> None:
    async def wrong() -> None:
        raise TypeError

    with pytest.raises(InvalidInputError, match=r"nothing was called: .*2 TypeError"):
        await stage.load(wrong, rate_per_s=1.0, lasts_s=2.0)


@pytest.mark.parametrize(
    ("rate_per_s", "lasts_s", "settle_s"),
    [(0.0, 1.0, 1.0), (1.0, 0.0, 1.0), (1.0, inf, 1.0), (1.0, 1.0, -1.0), (1e6, 1.1, 1.0)],
)
async def test_a_load_out_of_range_is_refused(
    stage: Stage, rate_per_s: float, lasts_s: float, settle_s: float
) -> None:
    service = stage.scripted_service([200])
    with pytest.raises(InvalidInputError, match=r"out of range|over 1000000 calls"):
        await stage.load(service.call, rate_per_s=rate_per_s, lasts_s=lasts_s, settle_s=settle_s)
    assert service.calls == 0


# Collapse


@pytest.mark.parametrize(("tries", "recovers"), [(1, True), (2, False)])
async def test_a_single_retry_keeps_a_service_down_that_recovers_without(
    stage: Stage, tries: int, *, recovers: bool
) -> None:
    service = stage.collapsing_service(StationPolicy(nodes=2, rate_per_s=10.0))
    stage.at(30.0, service.slow_down, 5.0)
    stage.at(60.0, service.slow_down, 1.0)

    async def fetch() -> None:
        for left in reversed(range(tries)):
            try:
                await service.call(timeout_s=3.0)
            except DependencyError:
                if not left:
                    raise
            else:
                return

    load = await stage.load(fetch, rate_per_s=4.0, lasts_s=300.0)
    assert load.success_ratio(0.0, 30.0) == 1.0
    assert (load.recovered_at() < 130.0) is recovers
    assert (load.goodput_per_s(200.0, 300.0) > 3.5) is recovers

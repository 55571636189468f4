import asyncio

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from surgetank.runtime.simulation.blocking import InlineBlocking
from surgetank.runtime.simulation.chance import stream
from surgetank.runtime.simulation.clock import VirtualClock
from surgetank.runtime.simulation.loop import VirtualLoop, run
from surgetank.runtime.simulation.trace import Trace


@given(start_at=st.floats(0, 4e9), at=st.floats(0, 4e9))
@example(start_at=135.65906472274528, at=424.9748196236664)  # at - start_at rounds down
def test_nobody_wakes_early_whatever_the_rounding(start_at: float, at: float) -> None:
    assume(start_at <= at)

    async def main(loop: VirtualLoop) -> None:
        clock = VirtualClock(loop)
        await clock.sleep_until(at)
        assert at <= clock.now() <= at + 1e-6

    run(main, start_at=start_at)


def test_a_past_instant_gives_the_others_one_turn() -> None:
    async def main(loop: VirtualLoop) -> tuple[list[str], float]:
        clock, seen = VirtualClock(loop), list[str]()
        loop.call_soon(seen.append, "other")
        await clock.sleep_until(clock.now() - 1)
        return seen, loop.time()

    assert run(main, start_at=9.0) == (["other"], 0.0)


def test_a_sleeper_who_is_cancelled_leaves_no_timer() -> None:
    async def main(loop: VirtualLoop) -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.0):
                await VirtualClock(loop).sleep_until(100.0)
        return loop.time()

    assert run(main) == 1.0


def test_streams_repeat_and_do_not_shift_one_another() -> None:
    assert stream(1, "a").random() == stream(1, "a").random() == 0.7349918605286359
    assert len({stream(seed, name).random() for seed in range(9) for name in "abcdef"}) == 54


def test_blocking_work_is_done_in_the_order_of_the_calls() -> None:
    async def main(_: VirtualLoop) -> bool:
        blocking, called, done = InlineBlocking(), list[int](), list[int]()

        async def call(number: int) -> None:
            called.append(number)
            await blocking.run(lambda: done.append(number))

        await asyncio.gather(*(call(number) for number in range(9)))
        assert called != sorted(called)
        return called == done

    assert run(main, seed=3, scheduling="shuffled")


def test_blocking_work_returns_and_raises_after_the_others_had_a_turn() -> None:
    async def main(loop: VirtualLoop) -> list[object]:
        blocking, seen = InlineBlocking(), list[object]()
        loop.call_soon(seen.append, "other")
        seen.append(await blocking.run(lambda: "result"))
        with pytest.raises(ZeroDivisionError):
            await blocking.run(lambda: 1 // 0)
        return seen

    assert run(main) == ["other", "result"]


def test_a_trace_depends_on_each_fact_and_on_their_order() -> None:
    def digest(*notes: tuple[float, str]) -> str:
        trace = Trace()
        for now, fact in notes:
            trace.note(now, fact, 1, None)
        assert trace.notes == len(notes)
        return trace.digest()

    one, two = (0.1, "one"), (0.2, "two")
    assert digest(one, two) == digest(one, two)
    assert (
        len({digest(one, two), digest(two, one), digest(one), digest(), digest((0.1, "two"))}) == 5
    )

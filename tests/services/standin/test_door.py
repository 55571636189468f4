"""A door sees those inside out when all is closed."""

import asyncio

import pytest

from surgetank.core.http import Request, Response
from surgetank.rehearsal.standin.door import CLOSE_S, Door
from surgetank.runtime.simulation.clock import VirtualClock
from surgetank.runtime.simulation.loop import VirtualLoop, run

REQUEST = Request.to("GET", "http://here/")


def answer_after(clock: VirtualClock, delay_s: float) -> Door:
    async def handle(_: Request) -> Response:
        await clock.sleep_until(clock.now() + delay_s)
        return Response(200)

    return Door(handle)


def seen(*, delay_s: float, closed_after_s: float | None) -> tuple[int, float, int]:
    """Status of one answer, the second of its end, and how many are then inside."""

    async def main(loop: VirtualLoop) -> tuple[int, float, int]:
        clock = VirtualClock(loop)
        begun_at = clock.now()
        door = answer_after(clock, delay_s)
        if closed_after_s is not None:
            loop.call_later(closed_after_s, door.close)
        response = await door.handle(REQUEST)
        return response.status, round(clock.now() - begun_at, 6), door.in_flight

    return run(main)


@pytest.mark.parametrize(
    ("delay_s", "closed_after_s", "wanted"),
    [
        (100.0, None, (200, 100.0, 0)),
        (CLOSE_S, 1.0, (200, CLOSE_S, 0)),
        (100.0, 1.0, (503, 1.0 + CLOSE_S, 0)),
    ],
    ids=["open", "ends in time", "too long"],
)
def test_who_is_inside_has_a_while_to_end(
    delay_s: float, closed_after_s: float | None, wanted: tuple[int, float, int]
) -> None:
    assert seen(delay_s=delay_s, closed_after_s=closed_after_s) == wanted


def test_who_still_comes_in_has_no_longer_than_the_others() -> None:
    async def main(loop: VirtualLoop) -> tuple[int, float]:
        clock = VirtualClock(loop)
        door = answer_after(clock, 100.0)
        door.close()
        closed_at = clock.now()
        await clock.sleep_until(closed_at + 1.0)
        response = await door.handle(REQUEST)
        return response.status, round(clock.now() - closed_at, 6)

    assert run(main) == (503, CLOSE_S)


def test_it_counts_who_is_inside() -> None:
    async def main(loop: VirtualLoop) -> int:
        clock = VirtualClock(loop)
        door = answer_after(clock, 1.0)
        inside = [asyncio.ensure_future(door.handle(REQUEST)) for _ in range(3)]
        await clock.sleep_until(clock.now() + 0.5)
        in_flight = door.in_flight
        await asyncio.gather(*inside)
        return in_flight

    assert run(main) == 3


def test_a_defect_of_the_service_stays_one() -> None:
    async def fail(_: Request) -> Response:
        raise TimeoutError("of its own")

    async def main(_: VirtualLoop) -> None:
        await Door(fail).handle(REQUEST)

    with pytest.raises(TimeoutError, match="of its own"):
        run(main)

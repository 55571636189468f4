"""Load: many callers of other people's code, and what came of their calls."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from math import inf
from typing import NamedTuple

from surgetank.core.errors import InvalidInputError, SimulationError
from surgetank.core.ports import Chance
from surgetank.runtime.simulation.loop import VirtualLoop, wake

CALLS_WANTED_MAX = 1_000_000
"""Calls wanted of one load: each is a task, and a line in the result."""
UNFINISHED = "unfinished"

Work = Callable[[], Awaitable[object]]


class CallWanted(NamedTuple):
    """One run of the code under test. Instants are seconds since the test began."""

    wanted_at: float
    ended_at: float
    """Infinite for one that was given up on when the load was over."""
    error: str | None
    """Name of the class of what it raised, or `unfinished`; None when it went well."""


@dataclass(frozen=True, repr=False)
class Load:
    """What came of a load. Instants are seconds since the test began."""

    calls: tuple[CallWanted, ...]
    """One for each call wanted, in the order they were wanted; at least one."""
    calls_made: int
    """Requests that all clients of the stage sent meanwhile, whether they arrived or not."""
    began_at: float
    """When calls began to be wanted."""
    ended_at: float
    """When the last call was over or given up on."""

    @property
    def calls_wanted(self) -> int:
        """How often the code under test was run."""
        return len(self.calls)

    @property
    def amplification(self) -> float:
        """Calls made per call wanted; 1 without retries."""
        return self.calls_made / len(self.calls)

    @property
    def errors(self) -> Counter[str]:
        """How often what ended a call that did not go well."""
        return Counter(call.error for call in self.calls if call.error is not None)

    def success_ratio(self, from_at: float = 0.0, to_at: float = inf) -> float:
        """Share, from 0 to 1, of the calls wanted from `from_at` to before `to_at` that went well.

        Raises:
            InvalidInputError: None was wanted then.
        """
        calls = [call for call in self.calls if from_at <= call.wanted_at < to_at]
        if not calls:
            raise InvalidInputError(f"no call was wanted from {from_at} to {to_at}")
        return sum(call.error is None for call in calls) / len(calls)

    def goodput_per_s(self, from_at: float, to_at: float) -> float:
        """Calls that ended well from `from_at` to before `to_at`, a second.

        Raises:
            InvalidInputError: `to_at` is not after `from_at`.
        """
        if not to_at > from_at:
            raise InvalidInputError(f"{to_at} is not after {from_at}")
        ended = sum(call.error is None and from_at <= call.ended_at < to_at for call in self.calls)
        return ended / (to_at - from_at)

    def recovered_at(self, *, ratio: float = 0.9, window_s: float = 10.0) -> float:
        """When calls began to go well and did to the end; `inf` when they did not.

        Calls are judged by when they were wanted, in windows. The end of the last window in which
        fewer than `ratio` of them went well is the instant; windows without calls are left out.

        Args:
            ratio: Share of calls that is well, from 0 to 1.
            window_s: Seconds of a window, above 0; some ten calls should fall into one.

        Returns:
            The instant; when the load began if there was no such window; infinite if the last
            window was one.

        Raises:
            InvalidInputError: An argument is out of range.
        """
        if not (0 <= ratio <= 1 and window_s > 0):
            raise InvalidInputError(f"out of range: ratio {ratio}, window_s {window_s}")
        wanted, well = Counter[int](), Counter[int]()
        for call in self.calls:
            window = int((call.wanted_at - self.began_at) / window_s)
            wanted[window] += 1
            well[window] += call.error is None
        ill = [window for window in wanted if well[window] < ratio * wanted[window]]
        if not ill:
            return self.began_at
        return inf if ill[-1] == max(wanted) else self.began_at + (ill[-1] + 1) * window_s

    def __repr__(self) -> str:
        """In a line, as a failed assertion shows it."""
        errors = "".join(f", {count} {name}" for name, count in self.errors.most_common())
        well = sum(call.error is None for call in self.calls)
        return (
            f"<Load of {len(self.calls)} calls wanted, {self.calls_made} made: {well} well{errors}>"
        )


async def offer(
    work: Work,
    *,
    rate_per_s: float,
    lasts_s: float,
    settle_s: float,
    loop: VirtualLoop,
    chance: Chance,
    calls_made: Counter[str],
) -> Load:
    """Run `work` again and again; see `Stage.load`.

    Args:
        work: The code under test.
        rate_per_s: Calls wanted each second.
        lasts_s: How long they are wanted.
        settle_s: How long the last of them may take.
        loop: That time comes from.
        chance: Places each call within its share of the time.
        calls_made: By host, counted by who made the clients.
    """
    if not (rate_per_s > 0 and 0 < lasts_s < inf and 0 <= settle_s < inf):
        raise InvalidInputError(f"out of range: {rate_per_s=}, {lasts_s=}, {settle_s=}")
    if not rate_per_s * lasts_s <= CALLS_WANTED_MAX:
        raise InvalidInputError(f"{rate_per_s=} for {lasts_s=}: over {CALLS_WANTED_MAX} calls")
    began_at, made_before = loop.time(), calls_made.total()
    callers: list[asyncio.Task[CallWanted]] = []
    try:
        for number in range(max(1, round(rate_per_s * lasts_s))):
            await _until(began_at + (number + chance.random()) / rate_per_s, loop)
            callers.append(loop.create_task(_call(work, loop)))
        await _until(began_at + lasts_s, loop)
        await asyncio.wait(callers, timeout=settle_s)
    finally:
        for caller in callers:
            caller.cancel()
    await asyncio.wait(callers)
    calls = tuple(caller.result() for caller in callers)
    made = calls_made.total() - made_before
    load = Load(calls, made, began_at, loop.time())
    if made == 0 and all(call.error is not None for call in calls):
        raise InvalidInputError(f"nothing was called: {load!r}")
    return load


async def _call(work: Work, loop: VirtualLoop) -> CallWanted:
    """Run the code under test once; an assertion that fails in it fails the test."""
    wanted_at = loop.time()
    try:
        await work()
    except (AssertionError, SimulationError):
        raise
    except asyncio.CancelledError:
        return CallWanted(wanted_at, inf, UNFINISHED)
    except Exception as error:  # noqa: BLE001 - whatever the code under test gives up with
        return CallWanted(wanted_at, loop.time(), type(error).__name__)
    return CallWanted(wanted_at, loop.time(), None)


async def _until(at: float, loop: VirtualLoop) -> None:
    future = loop.create_future()
    loop.call_at(at, wake, future)
    await future

"""Services to call in a test: one whose capacity collapses, and one that answers by a list."""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from enum import Enum
from math import ceil, inf
from sys import maxsize
from typing import NamedTuple

from surgetank.cloud.station import Station, StationCounts, StationPolicy, Turned
from surgetank.control.admission import Admission
from surgetank.control.outcome import parse_retry_after
from surgetank.core.errors import (
    DependencyError,
    DependencyRejectedError,
    DependencyThrottledError,
    InvalidInputError,
)
from surgetank.core.http import Request, Response, Timeouts
from surgetank.core.ports import Chance, Clock
from surgetank.runtime.simulation.network import Network

SAMPLE_S = 1.0
"""Least seconds between two samples of a service."""
SAMPLES_MAX = 10_000
"""Samples kept, the latest: almost three hours at one a second."""
REQUESTS_MAX = 10_000
"""Requests that a scripted service keeps, the latest."""
_BROKEN_BODY = b"the body of an answer that breaks off in the middle"
_THROTTLED, _BAD_GATEWAY, _ERROR, _FAULT = 429, 502, 400, 500


class Service(ABC):
    """One host of a stage; see its two kinds, `CollapsingService` and `ScriptedService`."""

    def __init__(self, *, host: str, network: Network, clock: Clock) -> None:
        self.host = host
        self.url = f"http://{host}/"
        self.calls = 0
        """Requests that arrived, whatever became of them."""
        self._network = network
        self._clock = clock
        self._loop = network.loop
        self._caller = network.client("caller", connections_max=maxsize)  # a crowd
        self._is_on = False
        self.switch_on()

    async def call(self, *, timeout_s: float = 3.0) -> Response:
        """Call the service once, as a client of the crowd does that has its own connection.

        Args:
            timeout_s: Seconds to wait for the connection, and again for the answer; above 0.

        Returns:
            The answer, of a status below 400.

        Raises:
            DependencyTimeoutError: No connection or no answer in time.
            DependencyThrottledError: 429; `retry_at` is what `Retry-After` says, or None.
            DependencyRejectedError: Another status from 400 to 499: trying again cannot help.
            DependencyError: 500 and above, or the connection was refused or broke. As the root
                of the others it is what a retry policy names to try again after all of them.
        """
        wait = Timeouts(connect_s=timeout_s, read_s=timeout_s, pool_s=timeout_s)
        response = await self._caller.send(Request("GET", self.host, "/"), timeouts=wait)
        status = response.status
        if status < _ERROR:
            return response
        message = f"{self.url} answered {status}"
        after_s = parse_retry_after(response.headers.get("retry-after"))
        retry_at = None if after_s is None else self._clock.now() + after_s
        if status == _THROTTLED:
            raise DependencyThrottledError(message, may_have_acted=False, retry_at=retry_at)
        if status < _FAULT:
            raise DependencyRejectedError(message, may_have_acted=False)
        has_acted = status == _BAD_GATEWAY
        raise DependencyError(message, may_have_acted=has_acted, retry_at=retry_at)

    def switch_off(self) -> None:
        """Refuse connections from now on; calls that have begun go on. Safe to repeat."""
        if self._is_on:
            self._is_on = False
            self._network.stop(self.host)

    def switch_on(self) -> None:
        """Take connections again. Safe to repeat."""
        if not self._is_on:
            self._network.serve(self.host, self._arrive)
            self._is_on = True

    async def _arrive(self, request: Request) -> Response:
        self.calls += 1
        return await self.answer(request)

    @abstractmethod
    async def answer(self, request: Request) -> Response:
        """Answer one request."""
        ...


class Sample(NamedTuple):
    """How a collapsing service stood when a call arrived, before it was taken in."""

    at: float
    """Seconds since the test began."""
    queue_s: float
    """Seconds until that call would start, the mean over living nodes."""
    live_ratio: float
    """Speed of all nodes, over that of the starting nodes when warm."""
    counts: StationCounts
    """What the station had done."""


class _CrashableStation(Station):
    """A station that a test can crash."""

    __slots__ = ()

    def crash(self) -> None:
        """Crash every node that is up."""
        now = self.clock.now()
        for node in self._nodes:
            if now >= node.down_until:
                self._crash(node, now)


class CollapsingService(Service):
    """A service of finite capacity: queues, crashes, cold restarts; made by a stage.

    It does the work of callers who have gone, because it cannot know: given more load than it can
    bear, for long enough, it does little else, and stays down when what made it slow is over.
    It answers 200, or 502 when a node crashed, 503 when there is no room, 429 when its
    admission says so.
    """

    def __init__(
        self,
        policy: StationPolicy,
        *,
        chance: Chance,
        admission: Admission | None,
        host: str,
        network: Network,
        clock: Clock,
    ) -> None:
        super().__init__(host=host, network=network, clock=clock)
        self._station = _CrashableStation(policy, clock, chance, admission)
        self.samples: deque[Sample] = deque(maxlen=SAMPLES_MAX)
        """One at most each `SAMPLE_S`, as calls arrive; the latest `SAMPLES_MAX`."""

    @property
    def station(self) -> Station:
        """The capacity itself, for what has no name here, as `scale_out` and `open_ratio`."""
        return self._station

    @property
    def counts(self) -> StationCounts:
        """What the station did so far: `served`, `lost`, `refused`, `crashes` and so on."""
        return self._station.counts

    def slow_down(self, factor: float) -> None:
        """Let each call that arrives from now on be `factor` times the work; 1 is well again.

        Raises:
            InvalidInputError: `factor` is not a finite number above 0.
        """
        if not 0 < factor < inf:
            raise InvalidInputError(f"a factor on work is above 0, not {factor}")
        self._station.slowdown = factor

    def crash(self) -> None:
        """Crash every node that is up: their queues are lost, and they come back cold."""
        self._station.crash()

    async def answer(self, request: Request) -> Response:
        """Wait in line and be served, or turned away."""
        del request
        self._sample()
        turn = await self._station.serve()
        if not isinstance(turn, Turned):
            return Response(200, {"content-type": "text/plain"}, b"ok")
        if turn.retry_after_s is None:
            return Response(turn.status)
        return Response(turn.status, {"retry-after": str(ceil(turn.retry_after_s))})

    def _sample(self) -> None:
        at = self._loop.time()
        if not self.samples or at - self.samples[-1].at >= SAMPLE_S:
            station = self._station
            counts = replace(station.counts)
            self.samples.append(Sample(at, station.queue_s(), station.live_ratio(), counts))


class Fault(Enum):
    """An answer that is none."""

    HANG = "hang"
    """Nothing comes: the caller waits for its time-out."""
    TRUNCATED = "truncated"
    """Status 200 and half of a body; then the connection breaks."""


Answer = Response | int | Fault
"""A whole answer, a bare status, or a fault."""


class ScriptedService(Service):
    """A service that answers from a list, the last answer for ever; made by a stage."""

    def __init__(
        self, answers: Sequence[Answer], *, host: str, network: Network, clock: Clock
    ) -> None:
        if not answers:
            raise InvalidInputError(f"{host} needs an answer at least")
        strange = [one for one in answers if isinstance(one, int) and not 200 <= one <= 599]  # noqa: PLR2004 - statuses that end an exchange
        if strange:
            raise InvalidInputError(f"not a status from 200 to 599: {strange[0]}")
        super().__init__(host=host, network=network, clock=clock)
        self.requests: deque[Request] = deque(maxlen=REQUESTS_MAX)
        """What arrived, the latest `REQUESTS_MAX`."""
        self.asked_at: deque[float] = deque(maxlen=REQUESTS_MAX)
        """When each of them arrived, in seconds since the test began."""
        self._answers = deque(answers)

    async def answer(self, request: Request) -> Response:
        """Give the next answer of the list."""
        self.requests.append(request)
        self.asked_at.append(self._loop.time())
        answer = self._answers.popleft() if len(self._answers) > 1 else self._answers[0]
        match answer:
            case Response():
                return answer
            case Fault.HANG:
                await self._clock.sleep_until(inf)
                raise AssertionError("time has no end")
            case Fault.TRUNCATED:
                headers = {"content-length": str(len(_BROKEN_BODY))}
                return Response(200, headers, chunks=_break_off())
            case status:
                return Response(status)


async def _break_off() -> AsyncIterator[bytes]:
    yield _BROKEN_BODY[: len(_BROKEN_BODY) // 2]
    raise ConnectionAbortedError

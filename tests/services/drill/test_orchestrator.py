"""An orchestrator without safeguards does what today's do: try, wait, try again, give up."""

import json
from random import Random

import pytest

from surgetank.core.http import Request, Response
from surgetank.core.value import dependency
from surgetank.rehearsal.drill.ledger import Fate, Ledger, Wanted
from surgetank.rehearsal.drill.orchestrator import Orchestrator
from surgetank.rehearsal.drill.request import StepRequest
from surgetank.runtime.simulation.clock import VirtualClock
from surgetank.runtime.simulation.loop import VirtualLoop, run
from surgetank.runtime.simulation.network import Network
from surgetank.runtime.simulation.trace import Trace

RETRY_S, PATIENCE_S = 100.0, 450.0


class Plane:
    """A control plane whose extensions fail until `heals_at`."""

    def __init__(self, clock: VirtualClock, heals_at: float) -> None:
        self.clock = clock
        self.heals_at = heals_at
        self.asked: list[str] = []

    async def handle(self, request: Request) -> Response:
        if request.method == "GET":
            self.asked.append("poll")
            if "slow" in request.path and self.asked.count("poll") == 1:
                return Response(200, body=b'{"status": "InProgress"}')
            status = "Succeeded" if self.clock.now() >= self.heals_at else "Failed"
            return Response(200, body=json.dumps({"status": status}).encode())
        self.asked.append(request.path)
        if request.path == "/create":
            return Response(201)
        if request.path == "/wrong":
            return Response(400)
        return Response(201, {"azure-asyncoperation": f"http://plane/operations{request.path}"})


def steps(*names: str) -> tuple[StepRequest, ...]:
    here = dependency("compute", "here")
    return tuple(StepRequest(name, here, f"http://plane/{name}", "{}") for name in names)


def one() -> Wanted:
    return Wanted(
        key="one",
        fleet="machines",
        region="here",
        is_own=False,
        is_covered=False,
        way="anonymous",
        submitted_at=0.0,
        deadline_at=60.0,
    )


def orchestrate(
    *names: str, heals_at: float = 0.0, is_up: bool = True, retry_s_max: float = RETRY_S
) -> tuple[Wanted, Plane, Ledger]:
    async def main(loop: VirtualLoop) -> tuple[Wanted, Plane, Ledger]:
        clock = VirtualClock(loop)
        network = Network(loop)
        plane = Plane(clock, heals_at)
        if is_up:
            network.serve("plane", plane.handle)
        ledger = Ledger(clock, Trace())
        orchestrator = Orchestrator(
            http=network.client("orchestrator"),
            clock=clock,
            chance=Random(1),
            ledger=ledger,
            retry_s=RETRY_S,
            retry_s_max=retry_s_max,
            retry_spread_ratio=0.1,
            patience_s=PATIENCE_S,
        )
        wanted = ledger.submit(one())
        await orchestrator.run(wanted, steps(*names))
        return wanted, plane, ledger

    return run(main)


def test_a_healthy_create_is_done_at_the_first_attempt() -> None:
    wanted, plane, ledger = orchestrate("create", "install", "enroll")
    assert (wanted.fate, wanted.first_is_ok, wanted.ended_at) == (Fate.SUCCEEDED, True, 0.0)
    assert plane.asked == ["/create", "/install", "poll", "/enroll", "poll"]
    assert (ledger.counts["calls"], ledger.counts["steps"]) == (3, 3)


def test_a_failed_step_is_tried_again_after_the_period_and_done_ones_are_not() -> None:
    wanted, plane, ledger = orchestrate("create", "install", heals_at=150.0)
    assert wanted.fate is Fate.SUCCEEDED
    assert wanted.first_is_ok is False
    assert wanted.ended_at is not None
    assert 180.0 <= wanted.ended_at <= 220.0
    assert plane.asked.count("/create") == 1
    assert plane.asked.count("/install") == 3
    assert (ledger.counts["calls"], ledger.counts["steps"]) == (4, 2)
    assert not any(ledger.waiting.values())


def test_its_owner_gives_up_after_the_patience_and_not_before() -> None:
    wanted, _, ledger = orchestrate("install", heals_at=1e9)
    assert (wanted.fate, wanted.ended_at) == (Fate.FAILED, PATIENCE_S)
    assert not any(ledger.waiting.values())


@pytest.mark.parametrize(("names", "is_up"), [(("wrong",), True), (("create",), False)])
def test_a_refusal_and_silence_are_failures_too(names: tuple[str, ...], *, is_up: bool) -> None:
    wanted, _, _ = orchestrate(*names, is_up=is_up)
    assert wanted.fate is Fate.FAILED


def test_an_operation_that_is_still_going_on_is_polled_again() -> None:
    wanted, plane, _ = orchestrate("slow")
    assert wanted.fate is Fate.SUCCEEDED
    assert plane.asked == ["/slow", "poll", "poll"]


def test_an_operation_ends_once() -> None:
    def end_twice() -> None:
        loop = VirtualLoop()
        ledger = Ledger(VirtualClock(loop), Trace())
        wanted = ledger.submit(one())
        ledger.end(wanted, Fate.FAILED)
        loop.close()
        ledger.end(wanted, Fate.SUCCEEDED)

    with pytest.raises(AssertionError, match="ended twice"):
        end_twice()


def pauses_s(wanted: Wanted) -> list[float]:
    """How long each wait was meant to be."""
    return [one.until - one.at for one in wanted.moments if one.until is not None]


@pytest.mark.parametrize(
    ("retry_s_max", "periods_s"),
    [
        (RETRY_S, [100.0] * 5),
        (150.0, [100.0, 150.0, 150.0, 150.0]),
        (250.0, [100.0, 200.0, 250.0]),
        (1e9, [100.0, 200.0, 400.0]),
        (90.0, [90.0] * 5),
    ],
)
def test_each_pause_is_twice_the_last_up_to_its_most(
    retry_s_max: float, periods_s: list[float]
) -> None:
    wanted, _, _ = orchestrate("install", heals_at=1e9, retry_s_max=retry_s_max)
    pauses = pauses_s(wanted)[: len(periods_s)]
    assert pauses == pytest.approx(periods_s, rel=0.1)


def test_what_happens_to_an_operation_is_written_down_from_its_first_call_to_its_fate() -> None:
    wanted, _, _ = orchestrate("create", "install", heals_at=50.0)
    assert [(one.step, one.what) for one in wanted.moments] == [
        ("create", "called"),
        ("create", "ok"),
        ("install", "called"),
        ("install", "failed"),
        ("", "waits"),
        ("install", "called"),
        ("install", "ok"),
        ("", "succeeded"),
    ]
    assert wanted.moments[3].why == "unknown", "the plane gave no code"
    assert wanted.moments[4].until == wanted.moments[5].at == wanted.ended_at


def test_who_gives_up_while_it_waits_is_written_down_as_failed() -> None:
    wanted, _, _ = orchestrate("install", heals_at=1e9)
    *_, waits, failed = wanted.moments
    assert (waits.what, failed.what, failed.at) == ("waits", "failed", PATIENCE_S)


def test_whoever_waits_to_try_again_is_counted_by_region_until_then() -> None:
    loop = VirtualLoop()
    ledger = Ledger(VirtualClock(loop), Trace())
    here, there = ledger.submit(one()), ledger.submit(one())
    there.region = "there"
    for wanted in (here, there, there):
        ledger.wait(wanted, is_waiting=True)
    assert ledger.waiting == {"here": 1, "there": 1}
    ledger.wait(here, is_waiting=False)
    ledger.end(there, Fate.FAILED)
    assert not any(ledger.waiting.values())
    loop.close()

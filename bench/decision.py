"""What one decision of a release law costs in plain Python, and that its state does not grow.

Run: python bench/decision.py [--rounds 41] [--decisions 100000] [--json]

A decision is one `step` of a law on one closed interval; a governor's is one `admit` and `record`
of a call, with the law's steps that fall due in between. Every law lives through the same: calm,
a fall of capacity, failures, recovery. What is timed are the decisions of that life, ours by mode.
Rounds are interleaved; times are of the processor. Wanted: 20 us.
"""

import argparse
import json
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from random import Random
from statistics import quantiles
from time import process_time
from typing import Any, NamedTuple, cast

from surgetank.control import governor
from surgetank.control.evidence import Interval
from surgetank.control.governor import Governor, GovernorPolicy
from surgetank.control.peer.aimd import Aimd
from surgetank.control.peer.bbr import Bbr
from surgetank.control.peer.botocore import Botocore
from surgetank.control.peer.doubling import Doubling
from surgetank.control.peer.doubling_gated import DoublingGated
from surgetank.control.peer.failsafe import Failsafe
from surgetank.control.peer.gradient2 import Gradient2
from surgetank.control.peer.pi import Pi
from surgetank.control.peer.sdk import Sdk
from surgetank.control.peer.sre import Sre
from surgetank.control.peer.steps import Steps
from surgetank.control.peer.vegas import Vegas
from surgetank.control.release import ReleasePolicy
from surgetank.control.signal import Law, Mode
from surgetank.core.value import Dependency, Lane, Outcome, OutcomeKind, Permit

AIM_US = 20.0
"""Microseconds that a decision may cost: a fiftieth of a core at a thousand a second."""
PEERS: dict[str, Law] = {
    "sdk-backoff": Sdk(),
    "doubling": Doubling(),
    "steps": Steps(),
    "doubling-gated": DoublingGated(),
    "aimd": Aimd(),
    "vegas": Vegas(),
    "gradient2": Gradient2(),
    "failsafe": Failsafe(),
    "bbr": Bbr(),
    "botocore": Botocore(),
    "sre": Sre(),
    "pi": Pi(),
}
OURS, GOVERNOR = "surgetank", "governor"
GOOD = Outcome(OutcomeKind.OK)
CYCLE = 500
"""Decisions of one life, after which the same comes again..."""
POOR, FAILING = range(300, 400), range(400, 410)
POOR_RATIO = 0.25
"""...of which these have that share of the capacity, and these fail; the others are calm."""
EARLY = 1_000
"""Decisions after which a state has all that it will ever have."""
CAPACITY_PER_S, LATENCY_S = 100.0, 0.05
"""Of the dependency."""
RESULTS, SPAN_S = 12, 0.5
"""Least results, and seconds, of an interval: the defaults of `EvidencePolicy`."""
IN_FLIGHT_LEAST, IN_FLIGHT_MOST = 2.0, 400.0
"""What is out at once, where a law bounds it less or not at all."""
BATCH = 256
"""Decisions of one measurement: some milliseconds."""
OUT = 20
"""Calls that a governor has out at once."""

Seen = tuple[Any, Interval]
"""A law's state, and the interval that it decides by."""
Work = Callable[[], float]
"""Does `BATCH` decisions; gives the seconds of processor that they took."""


class Cost(NamedTuple):
    """Microseconds of one decision."""

    law: str
    mode: str
    median_us: float
    q1_us: float
    q3_us: float
    is_within_aim: bool


class Size(NamedTuple):
    """Bytes of a state: the most in the life that ends early, and in the last.

    The most, as a governor's state grows within each interval and is small again after it.
    """

    law: str
    early_bytes: int
    late_bytes: int
    is_equal: bool


def interval(state: Any, index: int, *, ended_at: float, chance: Random) -> Interval:
    """Give what a client sees next: a queue of what is out beyond what the capacity holds."""
    place = index % CYCLE
    capacity_per_s = CAPACITY_PER_S * (POOR_RATIO if place in POOR else 1.0)
    out = min(IN_FLIGHT_MOST, max(IN_FLIGHT_LEAST, state.in_flight_max))
    latency_s = max(LATENCY_S * chance.uniform(0.9, 1.1), out / capacity_per_s)
    rate_per_s = out / latency_s
    span_s = max(SPAN_S, RESULTS / rate_per_s)
    results = round(rate_per_s * span_s)
    bad = results - 2 if place in FAILING else 0
    ok = results - bad
    return Interval(
        ended_at + span_s, span_s, ok, bad, throttled=0, backlog_ok=ok // 2, backlog_bad=bad // 2,
        held=1, shed=0, in_flight_peak=round(out), latency_count=ok, latency_low_s=latency_s,
        latency_high_s=1.3 * latency_s, latency_mean_s=1.1 * latency_s, latency_least_s=latency_s,
    )  # fmt: skip


def life(law: Law, decisions: int) -> Iterator[Seen]:
    """Let a law decide so often, and give what each decision rests on."""
    chance, state, now = Random(1), law.start(now=0.0), 0.0
    for index in range(decisions):
        seen = interval(state, index, ended_at=now, chance=chance)
        yield state, seen
        state, now = law.step(state, seen), seen.ended_at


def by_mode(law: Law) -> dict[str, list[Seen]]:
    """Collect the decisions of one life of ours, by the mode that each begins in."""
    found: dict[str, list[Seen]] = {mode.name.lower(): [] for mode in Mode}
    for state, seen in life(law, CYCLE):
        found[Mode(state.mode).name.lower()].append((state, seen))
    missed = [name for name, some in found.items() if not some]
    assert not missed, f"the life of this bench does not reach {', '.join(missed)}"
    return found


def steps_of(law: Law, every: Sequence[Seen]) -> Work:
    """Make work of decisions, evenly spread over those that there are."""
    batch = [every[index * len(every) // BATCH] for index in range(BATCH)]

    def work() -> float:
        step = law.step
        began = process_time()
        for state, seen in batch:
            step(state, seen)
        return process_time() - began

    return work


class Calls:
    """Calls through a governor, `OUT` at once, of both lanes by turns, answered in order."""

    def __init__(self) -> None:
        self.now = 0.0
        self.turn = 0
        self.out: deque[Permit] = deque()
        self.state = governor.start(GovernorPolicy(), dependency=Dependency("identity"), now=0.0)

    def one(self) -> None:
        """Ask for one call, and report the oldest; where the backlog may not, fresh calls."""
        self.now += 1.0 / CAPACITY_PER_S
        self.turn += 1
        lanes = (Lane.BACKLOG, Lane.FRESH) if self.turn % 2 else (Lane.FRESH,)
        for lane in lanes:
            self.state, answer = governor.admit(
                self.state, lane=lane, retry=False, now=self.now, chance=0.5
            )
            if isinstance(answer, Permit):
                self.out.append(answer)
                break
        if len(self.out) > OUT:
            self.state = governor.record(self.state, self.out.popleft(), GOOD, now=self.now)

    def work(self) -> float:
        """Do a batch; see `Work`."""
        one = self.one
        began = process_time()
        for _ in range(BATCH):
            one()
        return process_time() - began


def costs(rounds: int) -> list[Cost]:
    """Measure every kind of decision, interleaved."""
    ours = ReleasePolicy()
    kinds = {(OURS, mode): steps_of(ours, some) for mode, some in by_mode(ours).items()}
    kinds |= {(name, "any"): steps_of(law, [*life(law, CYCLE)]) for name, law in PEERS.items()}
    kinds[GOVERNOR, "a call"] = Calls().work
    taken: dict[tuple[str, str], list[float]] = {kind: [] for kind in kinds}
    for _ in range(rounds):
        for kind, work in kinds.items():
            taken[kind].append(1e6 * work() / BATCH)
    return [_cost(law, mode, values) for (law, mode), values in taken.items()]


def _cost(law: str, mode: str, taken_us: Sequence[float]) -> Cost:
    q1_us, median_us, q3_us = quantiles(taken_us, n=4, method="inclusive")
    return Cost(law, mode, median_us, q1_us, q3_us, median_us <= AIM_US)


def sizes(decisions: int) -> list[Size]:
    """Hold the state of every law, and of a governor, early against late."""
    laws = {OURS: ReleasePolicy(), **PEERS}
    states = {name: (state for state, _ in life(law, decisions)) for name, law in laws.items()}
    return [
        *(_size(name, some, decisions) for name, some in states.items()),
        _size(GOVERNOR, _governed(decisions), decisions),
    ]


def _governed(calls: int) -> Iterator[Governor]:
    every = Calls()
    for _ in range(calls):
        every.one()
        yield every.state


def held_bytes(state: object) -> int:
    """Count the bytes of a state, which is tuples of numbers, with all that is in it."""
    if not isinstance(state, tuple):
        return sys.getsizeof(state)
    parts = cast("tuple[object, ...]", state)
    return sys.getsizeof(parts) + sum(map(held_bytes, parts))


def _size(law: str, states: Iterable[object], decisions: int) -> Size:
    early_bytes = late_bytes = 0
    for index, state in enumerate(states):
        if EARLY - CYCLE <= index < EARLY:
            early_bytes = max(early_bytes, held_bytes(state))
        if index >= decisions - CYCLE:
            late_bytes = max(late_bytes, held_bytes(state))
    return Size(law, early_bytes, late_bytes, early_bytes == late_bytes)


def show(found: Sequence[Cost], held: Sequence[Size], *, decisions: int) -> Iterator[str]:
    """Say what was measured, in lines."""
    yield f"{'law':16}{'mode':10}{'us':>8}{'quartiles':>16}  within {AIM_US:g} us"
    for one in found:
        quartiles = f"{one.q1_us:.1f} to {one.q3_us:.1f}"
        says = "yes" if one.is_within_aim else "no"
        yield f"{one.law:16}{one.mode:10}{one.median_us:8.1f}{quartiles:>16}  {says}"
    yield ""
    yield f"{'bytes of state':16}{f'at {EARLY:,}':>12}{f'at {decisions:,}':>12}  equal"
    for size in held:
        says = "yes" if size.is_equal else "no"
        yield f"{size.law:16}{size.early_bytes:12,}{size.late_bytes:12,}  {says}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--rounds", type=int, default=41, help="at least 2")
    parser.add_argument("--decisions", type=int, default=100_000, help=f"more than {EARLY}")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.rounds < 2 or options.decisions <= EARLY:  # noqa: PLR2004 - quartiles need two
        parser.error(f"at least 2 rounds, and more than {EARLY} decisions")
    found, held = costs(options.rounds), sizes(options.decisions)
    if options.json:
        document = {
            "aim_us": AIM_US,
            "rounds": options.rounds,
            "decisions": {"early": EARLY, "late": options.decisions},
            "costs": [one._asdict() for one in found],
            "sizes": [one._asdict() for one in held],
        }
        print(json.dumps(document, indent=2))
    else:
        print("\n".join(show(found, held, decisions=options.decisions)))


if __name__ == "__main__":
    main()

"""The laws of the bench: ours and its peers, compiled, each as a fair user would set it.

Such a user knows his own time-out and his ordinary load, which is the fresh calls, but neither the
capacity nor what others send. What a source fixes is kept. What it leaves to its user was chosen
for the peer: of a few values the one with which it drained most of 40 random worlds with even seeds
(20 for botocore), from 1002 on; shares below are of those, and bare unless they say otherwise.

Where workers share nothing, a first rate or limit is each worker's own, as in the sources: none of
them knows of the others. Limits on calls in flight bound fresh calls too, as in the sources: with
the backlog alone bounded, Vegas drained 62% in place of 72%, though it served 99.9% of fresh in 67%
of the worlds in place of 18%.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from surgetank.control import breaker, release
from surgetank.control.breaker import Breaker, BreakerPolicy
from surgetank.control.evidence import EvidencePolicy
from surgetank.control.peer import (
    aimd,
    bbr,
    botocore,
    doubling,
    doubling_gated,
    failsafe,
    gradient2,
    pi,
    sdk,
    sre,
    steps,
    vegas,
)
from surgetank.control.release import ReleasePolicy
from surgetank.rehearsal.drain.ablation import ABLATED, OURS, Ablation
from surgetank.rehearsal.drain.compiled import compile_breaker, compile_law, row
from surgetank.rehearsal.drain.engine import Player, callers
from surgetank.rehearsal.drain.world import World

BREAKER = BreakerPolicy(open_s=3.0, open_s_max=30.0)
"""The breaker round every law that is wrapped. It looks again sooner than by default: the runs of
the bench last minutes, not hours."""


class Entry(NamedTuple):
    """How a law is made for a world."""

    policy: Callable[[World], Any]
    """Gives an object with `parameters()`."""
    module: Any
    """Has `start`, `step`, `opened` and `closed`."""
    evidence: EvidencePolicy | None = None
    """None: the policy's own."""
    is_backing_off: bool = False
    connections: float | None = None
    """Calls at once of a client, both lanes, where the law itself bounds none; None: no bound."""

    def start(self, parameters: Any) -> Any:
        """Give the state to begin with."""
        first = self.module.start(parameters, now=0.0)
        return first if self.connections is None else first._replace(in_flight_max=self.connections)


LIMIT_MAX = 10_000
"""Greatest limit on calls in flight. The libraries' own are 200 and 1,000, but 1,000 calls a second
that take half a second each are 500 without a queue."""
LIMIT_MIN = 1
"""Least limit. Their own of 20 is more than a dependency of 5 calls a second can bear."""
FIRST_SHARE = 0.1
"""First pace where a source names none, in ordinary loads: as the operators' laws begin."""
RATE_PER_S_MIN = 0.002
"""Least pace of a law whose source names none, calls per second: as ours."""
DASHBOARD = EvidencePolicy(samples_min=100, interval_s_min=10.0, interval_s_max=60.0)
"""How operators look: ten seconds and a hundred calls. In a dozen calls, as ours looks, one error
is above any limit of theirs, and a ramp that waits for a healthy minute waits for ever."""


def _ours(world: World) -> ReleasePolicy:
    return ReleasePolicy(timeout_s=world.timeout_s, workers=callers(world), lag_s=world.lag_s)


def _sdk(_: World) -> sdk.Sdk:
    """Nothing to set: each call backs off by itself."""
    return sdk.Sdk()


def _doubling(world: World) -> doubling.Doubling:
    """Begins at a tenth of the ordinary load, the one rate that an operator knows to be healthy."""
    return doubling.Doubling(rate_per_s_unlearnt=_load_per_s(world), evidence=DASHBOARD)


def _steps(world: World) -> steps.Steps:
    """Steps of a tenth of the ordinary load, and of what was healthy once more was seen."""
    return steps.Steps(rate_per_s_unlearnt=_load_per_s(world), evidence=DASHBOARD)


def _doubling_gated(world: World) -> doubling_gated.DoublingGated:
    """Begins as `doubling`, and is ill from a tenth of errors, as there.

    So it drained 78% with our breaker; from a twentieth 75%, and looking as ours does 22%.
    """
    return doubling_gated.DoublingGated(
        rate_per_s_unlearnt=_load_per_s(world), error_ratio_max=0.1, evidence=DASHBOARD
    )


def _aimd(world: World) -> aimd.Aimd:
    """The source's first limit of 20; with its floor of 20 too it drained 38%, with 1 50%."""
    return aimd.Aimd(timeout_s=world.timeout_s, limit_min=LIMIT_MIN, limit_max=LIMIT_MAX)


def _vegas(world: World) -> vegas.Vegas:
    """The source's first limit of 20: one fit for the ordinary load changed nothing."""
    return vegas.Vegas(timeout_s=world.timeout_s, limit_max=LIMIT_MAX)


def _gradient2(world: World) -> gradient2.Gradient2:
    """The source's first limit of 20, and the floor of `aimd`, which changed nothing here."""
    return gradient2.Gradient2(timeout_s=world.timeout_s, limit_min=LIMIT_MIN, limit_max=LIMIT_MAX)


def _failsafe(_: World) -> failsafe.Failsafe:
    """The source's first limit of 20 and floor of 1."""
    return failsafe.Failsafe(limit_max=LIMIT_MAX)


def _bbr(_: World) -> bbr.Bbr:
    """The source's ten to begin with; it leaves nothing to its user."""
    return bbr.Bbr()


def _botocore(_: World) -> botocore.Botocore:
    """The source's figures; its entry has the connections of its pool."""
    return botocore.Botocore()


def _sre(world: World) -> sre.Sre:
    """The book's other multiplier: of 2 and 1.1 it prefers 2; with our breaker, 42% and 68%."""
    return sre.Sre(timeout_s=world.timeout_s, multiplier=1.1)


def _pi(world: World) -> pi.Pi:
    """A mean latency of 8 times the least, and errors up to a tenth: 68%.

    At twice and 2%, the defaults, it took noise for load and drained 20%.
    """
    return pi.Pi(
        latency_multiple=8.0,
        error_ratio_max=0.1,
        rate_per_s_start=max(RATE_PER_S_MIN, FIRST_SHARE * _load_per_s(world)),
        rate_per_s_min=RATE_PER_S_MIN,
    )


def _load_per_s(world: World) -> float:
    """Ordinary load of a worker: its fresh calls per second."""
    return world.capacity_per_s * world.fresh_ratio / callers(world)


LAWS: Mapping[str, Entry] = MappingProxyType(
    {
        OURS: Entry(_ours, release, EvidencePolicy(interval_s_max=30.0)),
        "sdk-backoff": Entry(_sdk, sdk, is_backing_off=True),
        "doubling": Entry(_doubling, doubling),
        "steps": Entry(_steps, steps),
        "doubling-gated": Entry(_doubling_gated, doubling_gated),
        "aimd": Entry(_aimd, aimd),
        "vegas": Entry(_vegas, vegas),
        "gradient2": Entry(_gradient2, gradient2),
        "failsafe": Entry(_failsafe, failsafe),
        "bbr": Entry(_bbr, bbr),
        # Its pool has ten by default, which drained 75%, of 100 and more at most 45%.
        "botocore": Entry(_botocore, botocore, connections=10.0),
        "sre": Entry(_sre, sre),
        "pi": Entry(_pi, pi),
    }
)
NAMES = tuple(LAWS)


def entry(name: str) -> Entry:
    """How the law of a name is made: one of `LAWS`, or ours as `ABLATED` changes it."""
    return _ablated(ABLATED[name]) if name in ABLATED else LAWS[name]


def _ablated(ablation: Ablation) -> Entry:
    ours = LAWS[OURS]
    evidence = ours.evidence or EvidencePolicy()
    if ablation.samples_min is not None:
        evidence = replace(evidence, samples_min=ablation.samples_min)

    def policy(world: World) -> ReleasePolicy:
        return ablation.change(_ours(world))

    return ours._replace(policy=policy, evidence=evidence)


def player(name: str, world: World) -> Player:
    """Make a law ready for a world; it is compiled the first time it is asked for.

    Workers that learn alone probe each at a time of its own: the law is told its place.
    """
    made = entry(name)
    policy = made.policy(world)
    parameters = policy.parameters()
    count = callers(world)
    rows = np.tile(row(parameters), (count, 1))
    if "phase_ratio" in parameters._fields:
        rows[:, parameters._fields.index("phase_ratio")] = np.arange(count) / count
    admit, record = _breaker()
    return Player(
        name,
        _follow(OURS if name in ABLATED else name),
        row(made.start(parameters)),
        rows,
        made.evidence or policy.evidence,
        made.is_backing_off,
        admit,
        record,
        BREAKER.parameters(),
    )


@cache
def _follow(name: str) -> Any:
    """Compile a law: its functions do not depend on the world, only their parameters do."""
    made, any_world = LAWS[name], World(**_ANY)
    parameters = made.policy(any_world).parameters()
    module, first = made.module, made.start(parameters)
    return compile_law(
        first, parameters, step=module.step, opened=module.opened, closed=module.closed
    )


@cache
def _breaker() -> tuple[Any, Any]:
    return compile_breaker(
        Breaker(), BREAKER.parameters(), admit=breaker.admit, record=breaker.record
    )


_ANY: dict[str, Any] = {
    "title": "any",
    "capacity_per_s": 1.0,
    "fresh_ratio": 0.1,
    "backlog": 1,
    "timeout_s": 1.0,
    "latency_s": 0.1,
    "queue_max": 1,
}

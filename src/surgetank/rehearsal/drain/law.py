"""The laws of the bench: ours and its peers, compiled, each with its own way of looking."""

from collections.abc import Callable, Mapping
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


def _ours(world: World) -> ReleasePolicy:
    return ReleasePolicy(timeout_s=world.timeout_s, workers=callers(world), lag_s=world.lag_s)


def _load(world: World) -> float:
    return world.capacity_per_s * world.fresh_ratio / callers(world)


LIMIT_MAX = 10_000

LAWS: Mapping[str, Entry] = MappingProxyType(
    {
        "surgetank": Entry(_ours, release, EvidencePolicy(interval_s_max=30.0)),
        "sdk-backoff": Entry(lambda _: sdk.Sdk(), sdk, None, is_backing_off=True),
        "doubling": Entry(lambda w: doubling.Doubling(rate_per_s_unlearnt=_load(w)), doubling),
        "steps": Entry(lambda w: steps.Steps(rate_per_s_unlearnt=_load(w)), steps),
        "doubling-gated": Entry(
            lambda w: doubling_gated.DoublingGated(rate_per_s_unlearnt=_load(w)), doubling_gated
        ),
        "aimd": Entry(lambda w: aimd.Aimd(timeout_s=w.timeout_s, limit_max=LIMIT_MAX), aimd),
        "vegas": Entry(lambda w: vegas.Vegas(timeout_s=w.timeout_s, limit_max=LIMIT_MAX), vegas),
        "gradient2": Entry(
            lambda w: gradient2.Gradient2(timeout_s=w.timeout_s, limit_max=LIMIT_MAX), gradient2
        ),
        "failsafe": Entry(lambda _: failsafe.Failsafe(limit_max=LIMIT_MAX), failsafe),
        "bbr": Entry(lambda _: bbr.Bbr(), bbr),
        "botocore": Entry(lambda _: botocore.Botocore(), botocore),
        "sre": Entry(lambda w: sre.Sre(timeout_s=w.timeout_s), sre),
        "pi": Entry(lambda _: pi.Pi(), pi),
    }
)
NAMES = tuple(LAWS)


def player(name: str, world: World) -> Player:
    """Make a law ready for a world; it is compiled the first time it is asked for.

    Workers that learn alone probe each at a time of its own: the law is told its place.
    """
    entry = LAWS[name]
    policy = entry.policy(world)
    parameters = policy.parameters()
    first = entry.module.start(parameters, now=0.0)
    count = callers(world)
    rows = np.tile(row(parameters), (count, 1))
    if "phase_ratio" in parameters._fields:
        rows[:, parameters._fields.index("phase_ratio")] = np.arange(count) / count
    admit, record = _breaker()
    return Player(
        name,
        _follow(name),
        row(first),
        rows,
        entry.evidence or policy.evidence,
        entry.is_backing_off,
        admit,
        record,
        BREAKER.parameters(),
    )


@cache
def _follow(name: str) -> Any:
    """Compile a law: its functions do not depend on the world, only their parameters do."""
    entry, any_world = LAWS[name], World(**_ANY)
    parameters = entry.policy(any_world).parameters()
    module = entry.module
    first = module.start(parameters, now=0.0)
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

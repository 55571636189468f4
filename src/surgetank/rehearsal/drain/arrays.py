"""What the compiled world is made of: arrays in NamedTuples, cells, and constants of its physics.

Arrays are bundled in NamedTuples because Numba takes them apart for free; a scalar that changes is
a cell of an array.
"""

from typing import Any, NamedTuple, cast

from numba import njit

from surgetank.control.breaker import Phase
from surgetank.control.budget import BudgetPolicy
from surgetank.control.governor import GovernorPolicy

compiled = cast("Any", njit)(_nrt=False, forceinline=True)
"""Compiles a function of the world into its caller, without counting references: a tick took 3.1 us,
and takes 0.2. The counts of some fifty arrays are not needed, as no function makes one; and to hand
those arrays from function to function took as long as all that is done with them."""
FRESH, BACKLOG, UNSEEN = 0, 1, 2
WAITING, DONE, LEFT = 0, 1, 2
CLOSED, OPEN, HALF_OPEN = Phase.CLOSED.value, Phase.OPEN.value, Phase.HALF_OPEN.value
"""Numbers: a member of an enumeration does not compile to one."""
OVERLOAD_WAIT, OVERLOAD_SPEED, OVERLOAD_ALIVE = 0.25, 0.95, 0.99
"""A second counts as overloaded above that share of the time-out, or below those shares of the
capacity and of the nodes."""
TRIES_MAX = 8
"""Tries after which a client's own backoff grows no more."""
ARRIVALS_MAX = 100_000
"""Calls of one tick; those of a stampede beyond it come a tick later."""
_BUDGET = BudgetPolicy()
BUDGET, BUDGET_SHARE = _BUDGET.tokens_max, _BUDGET.ratio
"""Tokens of a retry budget, and what a good answer adds."""
_GOVERNOR = GovernorPolicy()
BURST_S = _GOVERNOR.burst_s
"""Unused pace that may be caught up, as in `control.governor`."""
FRESH_FIRST_S = _GOVERNOR.fresh_first_s
"""Seconds that a breaker's probes are kept for fresh calls, as there."""
DRIFT_S = 10.0
"""Time in which the slow drift of latency forgets itself."""
CROWD_S, CROWD_S_MAX, CROWD_CALLS = 1.0, 60.0, 200.0
"""Offered load is averaged over that many seconds, or services where that is longer (of all nodes,
and for a minute at most): chance is no overload, and what was asked for long ago is none either."""
COLLAPSE_FROM, COLLAPSE_MOST = 0.02, 0.95
"""Load above the capacity from which efficiency is lost, and the most that is."""
CRASH_CALLS = 10
"""Waiting calls below which no node crashes, however long they wait."""
CRASH_ABOVE, CRASH_S = 0.2, 20.0
"""Nodes crash at so much load above the capacity, or when the wait passes `world.CRASH_WAIT`; each
within that time on average."""
COLUMNS = 10
"""Of the table of seconds; see `engine.Played`."""
INTERVAL = 15
"""Numbers of an interval, in the order of `control.evidence.Interval`."""

(DONE_BACKLOG, FRESH_OK, FRESH_FAILED, FRESH_SHED, SENT, HEAD, SERVED, GIVEN_UP) = range(8)
WHOLE_CELLS = 8
"""Whole cells: counts, and the places in the ring of calls."""
(WORK, WASTED, OFFERED, DRIFT, CAPACITY, ALIVE, DRAINED_AT, OVERLOAD, WHOLE_AT) = range(9)
REAL_CELLS = 9
"""Real cells; from `WHOLE_AT` on, all nodes are up and warm unless one crashes."""


class Physics(NamedTuple):
    """A world in numbers; see `world.World`."""

    timeout_s: float
    fresh_per_s: float
    latency_log: float
    spread: float
    drift: float
    slow_ratio: float
    slow_factor: float
    queue_max: int
    reject_cost: float
    collapse: float
    is_crashing: bool
    nodes: int
    restart_s: float
    warm_s: float
    backlog: int
    callers: int
    lag_ticks: int
    tick_s: float
    ticks: int
    requests_max: int
    is_backing_off: bool
    """Clients of today: each backlog call tries again by itself, and no budget bounds retries."""
    has_breaker: bool


class Calls(NamedTuple):
    """Calls by their place in a ring, oldest first."""

    sent: Any
    lane: Any
    caller: Any
    tries: Any
    state: Any
    is_bad: Any
    latency: Any
    next: Any
    epoch: Any


class Agenda(NamedTuple):
    """What is due at a later tick, by tick modulo the length."""

    answers: Any
    """First call of a chain whose answers arrive."""
    fresh: Any
    """Fresh retries, by tries."""
    backlog: Any
    """Backlog retries of clients that back off by themselves, by tries."""


class Callers(NamedTuple):
    """Callers, each with a controller: what they hold and have seen in the present interval."""

    state: Any
    """Rows of the law."""
    breaker: Any
    """Rows of the breaker: phase, epoch, retry_at, ..."""
    obeyed: Any
    """[age in ticks, caller, (rate, in_flight_max, fresh_in_flight_max)]"""
    pool: Any
    """Backlog left."""
    due_at: Any
    yield_at: Any
    budget: Any
    fresh_out: Any
    out: Any
    counts: Any
    """[caller, (ok, bad, throttled, backlog_ok, backlog_bad, held, shed, peak)]"""
    began_at: Any
    latencies: Any
    latency: Any
    """[caller, (kept, count, stride)]"""
    latency_sum: Any
    has_turned: Any


class Arrivals(NamedTuple):
    """Calls made in this tick."""

    lane: Any
    caller: Any
    tries: Any
    epoch: Any


class Law(NamedTuple):
    """What decides: compiled functions and their parameters."""

    follow: Any
    parameters: Any
    evidence: Any
    """samples_min, interval_s_min, interval_s_max"""
    admit: Any
    record: Any
    breaker: Any
    probes: int


class Cells(NamedTuple):
    """Cells of the whole world."""

    whole: Any
    """Counts, and the places in the ring of calls."""
    before: Any
    """The same, a second ago."""
    real: Any


OK, BAD, THROTTLED, BACKLOG_OK, BACKLOG_BAD, HELD, SHED, PEAK = range(8)
KEPT, COUNT, STRIDE = range(3)

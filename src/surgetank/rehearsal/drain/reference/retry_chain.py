"""A retry storm small enough to solve exactly: a Markov chain of queue and orbit.

A state is (n, r): n calls in the queue, the one in service included, and r callers in orbit, who
lost a call and wait to try again. From it

    - a new operation sends a call at rate `arrivals_per_s`, and each caller in orbit makes up its
      mind at rate 1 / `timeout_s`: with chance 1 - 1 / `tries` it sends another call, else it gives
      up for good;
    - a call that finds n < `queue_max` before it joins the queue, and with chance `lost[n]` it will
      not be answered in time: then its caller is in orbit from now on;
    - a call that finds the queue full is refused, and its caller is gone;
    - the server finishes calls at rate `services_per_s`, those of callers who gave up as well.

A time-out is no memoryless thing, so three liberties make a chain of it. The fate of a call is a
coin thrown when it is sent, with the chance that the call really has: the time to its answer is
the sum of n + 1 services, whatever comes behind it. The coin forgets that calls next to each other
share their fate. The time in orbit is exponential, with the time-out as its mean. And a caller
whose calls are all lost makes `tries` on average, where a real one counts them. What these
liberties cost is measured in `comparison`.

Source: the chain of queue and orbit is that of P. Alvaro, R. Isaacs, R. Majumdar,
K.-K. Muniswamy-Reddy, M. Salamati and S. Soudjani, "Formal Analysis of Metastable Failures in
Software Systems", 2025 (arXiv 2510.03551), with the figures of the first example of their tool
(`mpi-sws-rse/metafor`: 9.5 a second, served at 10, time-out 3 s, queue of 100). What we changed:
`lost` is exact where theirs is Chebyshev's bound; new operations whose calls are lost are a part of
the arrivals, where theirs come on top, times a factor that calibrates; orbit has room for 80 where
their example has 20, and some 29 are in it; four tries, where theirs are four retries.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from surgetank.core.errors import InvalidInputError
from surgetank.rehearsal.drain.reference.simulation import Floats


class Means(NamedTuple):
    """What holds in the long run."""

    queue: float
    orbit: float
    goodput_per_s: float
    """Calls answered in time."""
    wasted_ratio: float
    """Share of services that nobody waits for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryChain:
    """The chain; raises `InvalidInputError` if out of range."""

    arrivals_per_s: float
    """New operations; above 0."""
    services_per_s: float
    """Above 0."""
    timeout_s: float
    """Above 0."""
    tries: int
    """Mean number of calls of an operation whose calls are all lost; at least 1."""
    lost: tuple[float, ...]
    """Chance to be lost for a call that finds n before it, for n from 0; one entry for each place
    of the queue."""
    orbit_max: int = 80
    """A caller who would be one more gives up. Calls are lost no faster than they are served, and
    each caller stays for a time-out, so a mean of `services_per_s` times `timeout_s` bounds it."""

    def __post_init__(self) -> None:
        rates = (self.arrivals_per_s, self.services_per_s, self.timeout_s, self.tries / 2)
        if min(rates) <= 0 or self.tries < 1 or self.orbit_max < 1 or not self.lost:
            raise InvalidInputError(f"out of range: {self}")
        if not all(0.0 <= chance <= 1.0 for chance in self.lost):
            raise InvalidInputError(f"a chance is from 0 to 1: {self.lost}")

    @property
    def queue_max(self) -> int:
        """Calls that the queue holds."""
        return len(self.lost)


def lost_by_clock(*, services_per_s: float, timeout_s: float, queue_max: int) -> tuple[float, ...]:
    """Chance that n + 1 exponential services take longer than `timeout_s`, for n < `queue_max`.

    That is the chance of at most n services in the time-out, which are Poisson.
    """
    mean = services_per_s * timeout_s
    term = math.exp(-mean)
    chances = [term]
    for n in range(1, queue_max):
        term *= mean / n
        chances.append(min(1.0, chances[-1] + term))
    return tuple(chances)


def lost_at_random(*, services_per_s: float, timeout_s: float, queue_max: int) -> tuple[float, ...]:
    """The same for a patience that is exponential with mean `timeout_s`.

    Each service is over before the patience is with the same chance, and n + 1 have to be.
    """
    in_time = services_per_s / (services_per_s + 1.0 / timeout_s)
    return tuple(1.0 - in_time ** (n + 1) for n in range(queue_max))


def stationary(chain: RetryChain) -> Floats:
    """Share of time in each state, as an array [orbit, queue].

    Orbit moves by one at a time, so the generator is tridiagonal in blocks, and is solved by
    elimination from the largest orbit down (linear level reduction): no iteration, no tolerance.
    """
    up = _up(chain)
    ratios: list[Floats] = []  # the distribution at orbit r + 1 is the one at r, times this
    local = _local(chain, chain.orbit_max)
    for orbit in range(chain.orbit_max, 0, -1):
        ratios.append((up @ np.linalg.inv(-local)).astype(np.float64))
        local = _local(chain, orbit - 1) + ratios[-1] @ _down(chain, orbit)
    balance = local.T.copy()
    balance[-1] = 1.0  # one equation is implied by the others
    one = np.zeros(chain.queue_max + 1)
    one[-1] = 1.0
    level = np.linalg.solve(balance, one).astype(np.float64)
    levels = [level]
    for ratio in reversed(ratios):
        level = level @ ratio
        levels.append(level)
    shares: Floats = np.array(levels)
    shares /= shares.sum()
    return shares


def means(chain: RetryChain) -> Means:
    """What holds in the long run."""
    share = stationary(chain)
    queue = np.arange(chain.queue_max + 1)
    orbit = np.arange(chain.orbit_max + 1)[:, np.newaxis]
    sent_per_s = chain.arrivals_per_s + _again_per_s(chain) * orbit
    joins_per_s = (share * sent_per_s).sum(axis=0)[:-1]
    wasted_per_s = float((joins_per_s * np.array(chain.lost)).sum())
    served_per_s = float(joins_per_s.sum())
    return Means(
        queue=float((share * queue).sum()),
        orbit=float((share * orbit).sum()),
        goodput_per_s=served_per_s - wasted_per_s,
        wasted_ratio=wasted_per_s / served_per_s,
    )


def seconds_until_full(chain: RetryChain) -> float:
    """Mean seconds from nothing in queue and orbit until the queue is full for the first time."""
    below_full = chain.queue_max
    up = _up(chain)[:below_full, :below_full]
    after = np.zeros((below_full, below_full))  # seconds at orbit r are these times those at r - 1
    more = np.zeros(below_full)  # plus these
    for orbit in range(chain.orbit_max, -1, -1):
        last = orbit == chain.orbit_max
        local = _local(chain, orbit)[:below_full, :below_full]
        inverse = np.linalg.inv(local if last else local + up @ after)
        more = inverse @ (-1.0 - up @ more)
        after = -inverse @ _down(chain, orbit)[:below_full, :below_full]
    return float(more[0])


def _again_per_s(chain: RetryChain) -> float:
    """How often a caller in orbit tries again."""
    return (1.0 - 1.0 / chain.tries) / chain.timeout_s


def _up(chain: RetryChain) -> Floats:
    """Rates [queue, queue] of what adds a caller to orbit: a new operation's call that is lost."""
    rates = np.zeros((chain.queue_max + 1, chain.queue_max + 1))
    for n, lost in enumerate(chain.lost):
        rates[n, n + 1] = chain.arrivals_per_s * lost
    return rates


def _down(chain: RetryChain, orbit: int) -> Floats:
    """Rates of what takes a caller out of orbit: a try that is in time, or giving up."""
    again_per_s = orbit * _again_per_s(chain)
    rates = np.eye(chain.queue_max + 1) * (orbit / chain.timeout_s / chain.tries)
    for n, lost in enumerate(chain.lost):
        rates[n, n + 1] = again_per_s * (1.0 - lost)
    rates[-1, -1] += again_per_s  # refused
    return rates


def _local(chain: RetryChain, orbit: int) -> Floats:
    """Rates of what leaves orbit as it is; on the diagonal, less all rates out of the state."""
    again_per_s = orbit * _again_per_s(chain)
    is_full = orbit == chain.orbit_max
    rates = np.zeros((chain.queue_max + 1, chain.queue_max + 1))
    for n, lost in enumerate(chain.lost):
        into_orbit = chain.arrivals_per_s * lost
        rates[n, n + 1] = chain.arrivals_per_s - into_orbit + again_per_s * lost
        rates[n, n + 1] += into_orbit if is_full else 0.0
        rates[n + 1, n] = chain.services_per_s
    out = rates.sum(axis=1) + _down(chain, orbit).sum(axis=1)
    if not is_full:
        out += _up(chain).sum(axis=1)
    return rates - np.diag(out)

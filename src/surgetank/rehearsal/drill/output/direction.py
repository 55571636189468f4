"""Which way each metric is better, for whoever compares two drills, and what it means.

A metric that is not here is shown and not judged. A test holds the table complete.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple


class Better(StrEnum):
    """Which way a metric is better."""

    LESS = "less"
    MORE = "more"
    NEITHER = "neither"
    """It says how large or how true the replica is, not how well things went: not judged."""


class Direction(NamedTuple):
    """What a metric says about a drill."""

    better: Better
    meaning: str
    """For people; fits into a table."""
    is_exact: bool = False
    """One in one seed is one too many: any difference counts."""
    never_is_worst: bool = False
    """Null means never, worse than any number; elsewhere it is nothing to measure."""


_LESS, _MORE, _NEITHER = Better.LESS, Better.MORE, Better.NEITHER
DIRECTIONS: Mapping[str, Direction] = MappingProxyType(
    {
        "operations_submitted": Direction(_NEITHER, "creates asked for"),
        "operations_succeeded": Direction(_NEITHER, "creates done, in time or late"),
        "operations_failed": Direction(_NEITHER, "given up after their owner's patience"),
        "operations_expired": Direction(
            _NEITHER, "past their owner's patience before the governor let them through"
        ),
        "operations_coalesced": Direction(_NEITHER, "withdrawn, as whoever wanted it had gone"),
        "operations_unknown": Direction(_LESS, "the answer never came"),
        "operations_open": Direction(_LESS, "under way when the drill ended"),
        "operations_lost": Direction(
            _LESS, "acknowledged, and in no other state at the end", is_exact=True
        ),
        "operations_duplicated": Direction(
            _LESS, "a step done twice that was not said to be repeatable", is_exact=True
        ),
        "provisioning_outage_s": Direction(_LESS, "time in which creates were in outage"),
        "identity_outage_s": Direction(_LESS, "time in which tokens were in outage"),
        "pool_outage_s": Direction(_LESS, "time in which a pool's work was in outage"),
        "backlog_peak": Direction(_LESS, "most creates waiting at once"),
        "backlog_at": Direction(_NEITHER, "creates waiting: for plots"),
        "drain_s": Direction(
            _LESS, "from the last repair until 1% of the peak was left", never_is_worst=True
        ),
        "governor_mode_s": Direction(
            _NEITHER, "time of governors in each mode, over all dependencies, seen once a minute"
        ),
        "retry_amplification": Direction(_LESS, "calls made over calls wanted"),
        "wasted_ratio": Direction(
            _LESS, "work for callers who had gone, over all work of the token service"
        ),
        "fresh_success_ratio": Direction(_MORE, "creates done by their deadline"),
        "covered_fresh_success_ratio": Direction(
            _MORE, "of those under the safeguards, done by their deadline"
        ),
        "others_fresh_success_ratio": Direction(
            _MORE, "of those under no safeguard, done by their deadline"
        ),
        "way_success_ratio": Direction(_MORE, "creates done in time"),
        "reader_success_ratio": Direction(_MORE, "first calls for tokens answered"),
        "pool_work_submitted": Direction(_NEITHER, "jobs or pods asked for"),
        "pool_work_given_up": Direction(_LESS, "jobs or pods that gave up waiting"),
        "pool_waiting_peak": Direction(_LESS, "most jobs or pods waiting at once"),
        "pool_zombies": Direction(_LESS, "machines made for work that had gone"),
        "published_error_s": Direction(_NEITHER, "emerged less published time; below 0 is earlier"),
        "own_operations_submitted": Direction(_NEITHER, "creates that are yours"),
        "own_fresh_success_ratio": Direction(_MORE, "yours done by their deadline"),
        "own_provisioning_outage_s": Direction(
            _LESS, "time in which your last create had not been good"
        ),
        "own_token_success_ratio": Direction(_MORE, "your first calls for tokens answered"),
        "requests_handled": Direction(
            _NEITHER, "requests that the stand-in cloud handled: the size of the replica"
        ),
        "idle_polls": Direction(_NEITHER, "polls that found nothing new"),
    }
)
"""By the name of the metric, in the order of results."""

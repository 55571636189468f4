"""The metrics of a run by name, and by what those that are mappings are keyed.

Scenario files name them, `drill.metrics` measures them, a test holds the two together.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class Key(StrEnum):
    """What the keys of a metric are."""

    NONE = "none"
    """It is one number."""
    REGION = "region"
    POOL = "pool"
    """Fleets whose work waits for machines: node pools and runner pools."""
    READERS = "readers"
    """Fleets of token readers."""
    WAY = "way"
    """Ways of reading artifacts."""
    MODE = "mode"
    """What governors do: the states of `control.view`."""
    MILESTONE = "milestone"
    INSTANT = "instant"
    """Every ten minutes; for plots, not for expectations."""


METRICS: Mapping[str, Key] = MappingProxyType(
    {
        "operations_submitted": Key.NONE,
        "operations_succeeded": Key.NONE,
        "operations_failed": Key.NONE,
        "operations_expired": Key.NONE,
        "operations_coalesced": Key.NONE,
        "operations_unknown": Key.NONE,
        "operations_open": Key.NONE,
        "operations_lost": Key.NONE,
        "operations_duplicated": Key.NONE,
        "provisioning_outage_s": Key.NONE,
        "identity_outage_s": Key.REGION,
        "pool_outage_s": Key.POOL,
        "backlog_peak": Key.NONE,
        "backlog_at": Key.INSTANT,
        "drain_s": Key.NONE,
        "governor_mode_s": Key.MODE,
        "retry_amplification": Key.NONE,
        "wasted_ratio": Key.NONE,
        "fresh_success_ratio": Key.NONE,
        "covered_fresh_success_ratio": Key.NONE,
        "others_fresh_success_ratio": Key.NONE,
        "way_success_ratio": Key.WAY,
        "reader_success_ratio": Key.READERS,
        "pool_work_submitted": Key.POOL,
        "pool_work_given_up": Key.POOL,
        "pool_waiting_peak": Key.POOL,
        "pool_zombies": Key.POOL,
        "published_error_s": Key.MILESTONE,
        "own_operations_submitted": Key.NONE,
        "own_fresh_success_ratio": Key.NONE,
        "own_provisioning_outage_s": Key.NONE,
        "own_token_success_ratio": Key.NONE,
        "requests_handled": Key.NONE,
        "idle_polls": Key.NONE,
    }
)

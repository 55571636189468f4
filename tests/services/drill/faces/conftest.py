"""A small scenario and hand-made runs: the faces of a drill are tested without playing one."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from surgetank.rehearsal.drill.ledger import CALLED, WAITS, Fate, Moment, Wanted
from surgetank.rehearsal.drill.metrics import Metrics, Outages
from surgetank.rehearsal.drill.outage import Outage
from surgetank.rehearsal.drill.play import Run
from surgetank.rehearsal.drill.series import GovernorSeries, RegionSeries, Series
from surgetank.rehearsal.scenario.schema import Scenario

HOUR_S = 3600.0
MACHINES: dict[str, Any] = {
    "name": "machines",
    "kind": "machine",
    "peak_per_s": 0.02,
    "tokens": 4,
    "deadline_s": 1800,
    "retry_s": 3600,
    "patience_s": 14400,
}
IDENTITY: dict[str, Any] = {
    "headroom": 2,
    "nodes": 4,
    "service_s": 0.2,
    "queue_s_max": 90,
    "pressure_s": 45,
    "crash_after_s": 60,
    "restart_s": 120,
    "warm_s": 600,
    "cold_ratio": 0.15,
    "unhealthy_s": 60,
    "reject_cost_ratio": 0.1,
    "spread_ratio": 0.5,
    "health_period_s": 10,
    "burst_ratio": 1.0,
    "burst_s": 60,
    "admission_wait_s": 15,
}
CLOUD: dict[str, Any] = {
    "regions": {
        "north": {"title": "The North", "size": 1, "utc_offset_h": 0},
        "south": {"title": "The South", "size": 1, "utc_offset_h": 0},
    },
    "demand": {"quiet_ratio": 0.2, "busy_hour": 14, "busy_width_h": 4},
    "identity": IDENTITY,
    "reads": {"private_endpoint": 0, "service_endpoint": 0, "sas": 0, "identity": 0},
    "latency_s": 0.01,
    "boot_s": 40,
    "token_gap_s": 20,
    "accounts": 1,
    "extensions": 20,
    "client_timeout_s": 30,
    "token_life_s": 86400,
    "retry_spread_ratio": 0.1,
}
FAULT: dict[str, Any] = {
    "at": "2026-02-02T18:03:00Z",
    "title": "policy blocks reads",
    "regions": ["north", "south"],
    "source": "a review",
    "fault": {"kind": "remediation", "pace_s": 20},
}
REPAIR: dict[str, Any] = {
    "at": "2026-02-02T21:00:00Z",
    "title": "the north repaired",
    "regions": ["north"],
    "assumed": "the hour",
    "act": {"kind": "repair"},
}
SCALE_OUT: dict[str, Any] = {
    "at": "2026-02-02T22:00:00Z",
    "title": "scaled out",
    "regions": ["north"],
    "source": "a review",
    "when": "identity@*.success_ratio < 0.5 for 10m",
    "act": {"kind": "scale_out", "ratio": 0.5},
}
EXPECTED: dict[str, Any] = {
    "variant": "nobody",
    "metric": "identity_outage_s",
    "region": "north",
    "over": "min",
    "at_least": HOUR_S,
}
PUBLISHED = [
    ("policy blocks reads", "2026-02-02T18:03:00Z", "scripted"),
    ("creates fail", "2026-02-02T18:29:00Z", "provisioning_outage.start"),
    ("tokens fail", "2026-02-02T21:10:00Z", "identity_outage.start@north"),
    ("tokens back", "2026-02-02T23:30:00Z", "identity_outage.end@north"),
]
DOCUMENT: dict[str, Any] = {
    "schema": "surgetank/scenario/v1",
    "name": "small",
    "title": "A small outage",
    "start": "2026-02-02T18:00:00Z",
    "end": "2026-02-03T01:00:00Z",
    "scale": "1:1000",
    "own_share": 0.01,
    "figures": {
        "read_elsewhere": {"value": 3, "source": "a vendor"},
        "guessed": {"value": 0.5, "assumed": "as good as any", "range": [0.25, 1]},
    },
    "cloud": CLOUD,
    "fleet": [MACHINES],
    "timeline": [FAULT, REPAIR, SCALE_OUT],
    "variants": {
        "nobody": {"title": "nobody", "seat": "nobody", "share": 0},
        "you": {"title": "you, 1%", "seat": "you", "share": 0.01, "broker": True},
        "all": {
            "title": "everybody: all",
            "seat": "everybody",
            "share": 1,
            "mirror_warm_ratio": 1,
            "broker": True,
            "release": "adaptive",
        },
    },
    "expect": [EXPECTED],
    "published": [
        {"name": name, "at": at, "source": "a review", "measure": measure}
        for name, at, measure in PUBLISHED
    ],
}


def series(start_at: float, rows: int) -> Series:
    """Build a row a minute: the north fails in the middle, the south is quiet."""
    at = [start_at + 60.0 * (row + 1) for row in range(rows)]
    bad = [200 <= row < 340 for row in range(rows)]
    north = RegionSeries(
        backlog=[min(row, 300) for row in range(rows)],
        reads=[9] * rows,
        reads_refused=[8 if row < 180 else 0 for row in range(rows)],
        tokens_tried=[3] * rows,
        tokens_failed=[3 if one else 0 for one in bad],
        tokens_offered=[9 if one else 3 for one in bad],
        tokens_served=[3] * rows,
        queue_s=[40.0 if one else 0.0 for one in bad],
        live_ratio=[0.5 if one else 1.0 for one in bad],
    )
    quiet = RegionSeries(
        backlog=[0] * rows,
        reads=[0] * rows,
        reads_refused=[0] * rows,
        tokens_tried=[0] * rows,
        tokens_failed=[0] * rows,
        tokens_offered=[0] * rows,
        tokens_served=[0] * rows,
        queue_s=[0.0] * rows,
        live_ratio=[1.0] * rows,
    )
    return Series(at=at, regions={"north": north, "south": quiet})


@pytest.fixture
def make_scenario() -> Callable[..., Scenario]:
    """Build the small scenario, with parts of its document replaced."""

    def make(**changes: object) -> Scenario:
        return Scenario.model_validate({**DOCUMENT, **changes})

    return make


@pytest.fixture
def scenario(make_scenario: Callable[..., Scenario]) -> Scenario:
    return make_scenario()


@pytest.fixture
def make_wanted(scenario: Scenario) -> Callable[..., Wanted]:
    """Build an operation from what happened to it: (minutes after it was asked for, moment)."""

    def make(
        key: str,
        fate: Fate,
        *moments: tuple[float, str, str] | tuple[float, str, str, str],
        region: str = "north",
        asked_h: float = 0.5,
        is_covered: bool = False,
        until_min: float | None = None,
    ) -> Wanted:
        asked_at = scenario.start.timestamp() + HOUR_S * asked_h
        until = None if until_min is None else asked_at + 60 * until_min
        told = [
            Moment(
                asked_at + 60 * at,
                step,
                what,
                why="".join(why),
                until=until if what == WAITS else None,
            )
            for at, step, what, *why in moments
        ]
        return Wanted(
            key=key,
            fleet="machines",
            region=region,
            is_own=False,
            is_covered=is_covered,
            way="anonymous",
            submitted_at=asked_at,
            deadline_at=asked_at + 1800,
            fate=fate,
            ended_at=told[-1].at if told and fate is not Fate.OPEN else None,
            moments=told,
        )

    return make


@pytest.fixture
def caught(make_wanted: Callable[..., Wanted]) -> Wanted:
    """An operation that meets both outages: reads refused, then no token."""
    return make_wanted(
        "machines-north-7",
        Fate.FAILED,
        (0, "install", CALLED),
        (1, "install", "failed", "PublicAccessNotPermitted"),
        (1, "", WAITS, "before it is tried again"),
        (61, "install", CALLED),
        (61.5, "install", "ok"),
        (61.5, "enroll", CALLED),
        (63, "enroll", "failed", "ManagedIdentityTokenError"),
        (63, "", "failed"),
    )


@pytest.fixture
def make_run(scenario: Scenario) -> Callable[..., Run]:
    """Build a run from what its faces show; times are hours after the start."""
    start_at = scenario.start.timestamp()

    def make(
        variant: str = "nobody",
        seed: int = 1,
        *,
        creates: tuple[float, float] | None = (0.1, 5.0),
        tokens: tuple[float, float] | None = (3.1, 5.6),
        is_over: bool = True,
        fresh: float | None = 0.25,
        own_fresh: float | None = 0.2,
        acted: Sequence[tuple[float, str, str]] = (
            (0.05, "policy blocks reads", ""),
            (3.0, "the north repaired", "north"),
            (4.0, "scaled out", "north"),
        ),
        rows: int = 420,
        wanted: Sequence[Wanted] = (),
        governors: dict[str, GovernorSeries] | None = None,
        **changes: Any,
    ) -> Run:
        def found(hours: tuple[float, float] | None) -> list[Outage]:
            if hours is None:
                return []
            first, last = (start_at + HOUR_S * hour for hour in hours)
            return [Outage(first, last, is_over=is_over)]

        outages = Outages(found(creates), {"north": found(tokens), "south": []})
        creates_s = sum(one.end_at - one.start_at for one in outages.provisioning)
        metrics: dict[str, Any] = {
            "operations_submitted": 1200,
            "operations_succeeded": 900,
            "provisioning_outage_s": creates_s,
            "identity_outage_s": {
                "north": sum(one.end_at - one.start_at for one in outages.identity["north"]),
                "south": 0.0,
            },
            "drain_s": None,
            "wasted_ratio": 0.38,
            "fresh_success_ratio": fresh,
            "own_operations_submitted": 12,
            "own_fresh_success_ratio": own_fresh,
            "own_provisioning_outage_s": creates_s / 2,
            "published_error_s": {"tokens fail": -240.0} if tokens else {},
        }
        measured: Metrics = {**metrics, **changes}
        told = [(start_at + HOUR_S * at, title, region) for at, title, region in acted]
        seen = series(start_at, rows)
        seen.governors = governors or {}
        trace_hash = f"{variant}-{seed}"
        return Run(variant, seed, trace_hash, measured, outages, told, seen, wanted)

    return make


@pytest.fixture
def runs(make_run: Callable[..., Run]) -> list[Run]:
    """One seed: the outage, yours within it, and none of it."""
    quiet: dict[str, Any] = {"creates": None, "tokens": None, "fresh": 1.0, "own_fresh": 1.0}
    return [
        make_run("nobody"),
        make_run("you", tokens=(3.1, 5.5), own_fresh=0.9),
        make_run("all", **quiet, wasted_ratio=0.0, acted=(), drain_s=0.0),
    ]

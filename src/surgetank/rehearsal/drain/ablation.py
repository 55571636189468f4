"""Our law with one part changed at a time, to see what each is worth; none is played unasked.

Only settings change, never the code of the law; all others stay what ours has in a world.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from surgetank.control.release import ReleasePolicy

OURS = "surgetank"
"""Our law."""
NEVER_S = 1e9
"""Seconds between probes of a law that does not probe: longer than any run."""
NO_SHARE = 1e9
"""Share of a time-out that no delay reaches."""


def _same(ours: ReleasePolicy) -> ReleasePolicy:
    return ours


@dataclass(frozen=True, slots=True)
class Ablation:
    """One change of our law."""

    name: str
    title: str
    """What is changed, for people."""
    change: Callable[[ReleasePolicy], ReleasePolicy] = _same
    """Takes what ours is set to in a world."""
    samples_min: int | None = None
    """Results that close an interval; None: as many as ours."""


_ABLATIONS = (
    Ablation(
        "no-probe",
        "no probe of the latency without a queue",
        lambda ours: replace(ours, probe_period_s=NEVER_S),
    ),
    Ablation(
        "no-shed",
        "no shedding of fresh for a long queue, only for errors",
        lambda ours: replace(ours, shed_share=NO_SHARE),
    ),
    Ablation(
        "no-tail", "no look at the slowest tenth", lambda ours: replace(ours, high_share=NO_SHARE)
    ),
    Ablation(
        "fixed-target",
        "a target that follows neither noise nor slow services",
        lambda ours: replace(ours, delay_share_max=ours.delay_share),
    ),
    Ablation("double", "a ramp that doubles", lambda ours: replace(ours, ramp_growth=2.0)),
    Ablation("slow-ramp", "a ramp by a tenth", lambda ours: replace(ours, ramp_growth=1.1)),
    Ablation(
        "wide-start",
        "a first window ten times as wide",
        lambda ours: replace(ours, window_start=10.0 * ours.window_start),
    ),
    Ablation("5-results", "a decision every 5 results", samples_min=5),
    Ablation("30-results", "a decision every 30 results", samples_min=30),
)

ABLATED: Mapping[str, Ablation] = MappingProxyType(
    {f"{OURS}-{one.name}": one for one in _ABLATIONS}
)
"""By the name that the bench takes."""

"""What happens in a scenario: faults that strike, and what operators do about them."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, model_validator

from surgetank.rehearsal.scenario.condition import parse_condition
from surgetank.rehearsal.scenario.part import Part, Positive, Ratio, Seconds, check_known


class PolicyFault(Part):
    """A remediation job with a stale list: sets `allowBlobPublicAccess` to false."""

    kind: Literal["remediation"]
    pace_s: Seconds
    """Seconds between one account and the next."""


class Gate(Part):
    """What must hold before operators take the next step."""

    hold_s: Positive
    """Seconds that a step is watched."""
    success_ratio: Ratio
    """Least share of tries for tokens that succeed in that time; no tries count as all well."""


class Repair(Part):
    """Operators let the public read the artifacts again."""

    kind: Literal["repair"]
    gate: Gate | None = None
    """Account by account, each after the gate has held for the one before; none: all at once."""


class ScaleOut(Part):
    """Operators add cold nodes to the identity service."""

    kind: Literal["scale_out"]
    ratio: Positive
    """New nodes over those at the start."""


class Autoscale(Part):
    """From then on a controller adds cold nodes to the identity service while its queue is long."""

    kind: Literal["autoscale"]
    queue_s: Positive
    """Seconds of queue, in the mean over nodes, that ask for more."""
    ratio: Positive
    """Nodes of one step, over those at the start."""
    most_ratio: Positive
    """Most nodes that it adds in all, over those at the start."""
    provision_s: Positive
    """Seconds until a node that was asked for comes; no further step before."""


class TrafficOff(Part):
    """Operators take traffic off the identity service until its nodes are warm, and ramp it back."""

    kind: Literal["traffic_off"]
    step_ratio: Annotated[float, Field(gt=0, le=1)]
    """Share of traffic that one step lets back."""
    step_s: Positive
    """Least seconds between steps."""
    queue_s_max: Positive
    """No step while the queue is longer than these seconds, in the mean over nodes."""


Act = Annotated[Repair | ScaleOut | Autoscale | TrafficOff, Field(discriminator="kind")]


class Entry(Part):
    """One thing that happens: a fault, or an act of the operators."""

    at: datetime
    """When, or from when on operators look; UTC."""
    title: str
    """What happens, for people."""
    regions: Annotated[tuple[str, ...], Field(min_length=1)]
    """Where; a fault takes them in this order."""
    source: str | None = None
    """Who published it; either this or `assumed`."""
    assumed: str | None = None
    """Why it is assumed; either this or `source`."""
    fault: PolicyFault | None = None
    """What breaks; either this or `act`."""
    act: Act | None = None
    """What operators do; either this or `fault`."""
    only: tuple[str, ...] = ()
    """Variants in which it happens; none named: in all."""
    never: tuple[str, ...] = ()
    """Variants in which it does not happen."""
    when: str | None = None
    """Acts only: `DEPENDENCY.success_ratio < NUMBER for MINUTESm`, watched from `at` on, by region
    where the dependency is written `SERVICE@*`."""

    def is_of(self, variant: str) -> bool:
        """Whether it happens in a variant."""
        return variant not in self.never and (not self.only or variant in self.only)

    @model_validator(mode="after")
    def _is_one_thing(self) -> "Entry":
        if (self.fault is None) is (self.act is None):
            raise ValueError("write either `fault` or `act`")
        if self.fault is not None and self.when is not None:
            raise ValueError("a fault has no `when`: only operators look before they act")
        if (self.source is None) is (self.assumed is None):
            raise ValueError("write either `source` or `assumed`")
        if self.when is not None:
            looked_at = parse_condition(self.when).region
            check_known("region", [looked_at], ("*", *self.regions))
        return self

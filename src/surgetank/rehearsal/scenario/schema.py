"""What a scenario file may say: `surgetank/scenario/v1`.

Numbers of `cloud`, `fleet` and `timeline` are written `$name` and stand under `figures`, each with
its source or the word that it is assumed: the reader puts them in place before this schema looks.
Times are UTC instants; seconds, ratios and counts otherwise, as the names say.
"""

from collections.abc import Container, Iterable
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from surgetank.rehearsal.scenario.condition import parse_condition

Ratio = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1, le=100_000)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Figure(_Part):
    """One number, and where it comes from: exactly one of `source` and `assumed`."""

    value: float
    """The number that the drill plays with."""
    source: str | None = None
    """Who published it."""
    assumed: str | None = None
    """Why this number, where nobody published one."""
    range: tuple[float, float] | None = None
    """The least and the most that it may well be; required where it is assumed. A sensitivity run
    moves it that far."""

    @model_validator(mode="after")
    def _is_sourced_or_assumed(self) -> "Figure":
        if (self.source is None) is (self.assumed is None):
            raise ValueError("write either `source` or `assumed`")
        if self.assumed is not None and self.range is None:
            raise ValueError("an assumed figure needs the `range` that it may lie in")
        if self.range is not None and not self.range[0] <= self.value <= self.range[1]:
            raise ValueError("the value lies outside its own range")
        return self


class Region(_Part):
    """One region of the cloud."""

    title: str
    """Its name for people."""
    size: Positive
    """Demand and capacity, where 1 is the largest region."""
    utc_offset_h: Annotated[float, Field(ge=-12, le=14)]
    """Hours that its people's clocks are ahead of UTC."""


class Demand(_Part):
    """Machine creates by the local time of day: a quiet floor and one busy hour."""

    quiet_ratio: Ratio
    """Creates at night, over creates at the busiest hour."""
    busy_hour: Annotated[float, Field(ge=0, lt=24)]
    """The busiest hour, local time."""
    busy_width_h: Positive
    """Hours from the busiest until demand above the floor has fallen to 1/e."""


class IdentityStation(_Part):
    """Capacity and physics of the token service, alike in every region."""

    headroom: Positive
    """Capacity over the region's own demand for tokens at its busiest hour."""
    nodes: Count
    """Nodes of each region."""
    service_s: Annotated[float, Field(ge=0)]
    """Seconds that a token takes on an idle, warm node."""
    queue_s_max: Positive
    """Seconds of work that a node's queue holds."""
    pressure_s: Positive
    """Seconds of queued work that press on a node's memory."""
    crash_after_s: Positive
    """Mean seconds under that pressure until a node crashes."""
    restart_s: Positive
    """Seconds from a crash until the node serves again."""
    warm_s: Positive
    """Seconds that a started node takes to full speed."""
    cold_ratio: Annotated[float, Field(gt=0, le=1)]
    """Speed of a node that has just started."""
    unhealthy_s: Positive
    """Seconds of queued work that fail the balancer's health check."""
    reject_cost_ratio: Ratio
    """Work of refusing a call, as a share of serving it."""
    admission_wait_s: Positive
    """With admission at the door: the longest expected wait that is still let in."""


class Cloud(_Part):
    """The stand-in cloud."""

    regions: Annotated[dict[str, Region], Field(min_length=1, max_length=60)]
    """Regions by name."""
    demand: Demand
    identity: IdentityStation
    latency_s: Annotated[float, Field(ge=0, le=10)]
    """Seconds on the wire, one way."""
    boot_s: Annotated[float, Field(ge=0)]
    """Seconds from a machine's allocation until its agent runs."""
    token_gap_s: Annotated[float, Field(ge=0)]
    """Mean seconds between the tokens that one new machine asks for."""
    extensions: Count
    """Different extension packages that machines need; each machine needs one."""
    client_timeout_s: Positive
    """Seconds that a client waits for a token or an artifact."""
    token_life_s: Positive
    """Seconds that a token lives."""


class _Fleet(_Part):
    name: str
    peak_per_s: Positive
    """Operations, or calls, a second at the busiest hour of a region of size 1."""
    retry_s: Positive
    """Seconds after which what failed is tried again where no governor says otherwise."""
    patience_s: Positive
    """Seconds after which nobody wants it any more."""


class Creates(_Fleet):
    """Machines, or scale sets, that somebody wants; demand follows the local time of day."""

    kind: Literal["machine", "scale_set"]
    tokens: Count
    """Tokens that each machine needs before it serves."""
    deadline_s: Positive
    """An operation is fresh, and counts as a success, when done within this time."""
    instances: Count = 1
    """Machines of one operation."""


class Readers(_Fleet):
    """Processes on running nodes that need tokens, day and night alike."""

    kind: Literal["token_readers"]
    nodes: Count
    """Running nodes in a region of size 1."""


Fleet = Annotated[Creates | Readers, Field(discriminator="kind")]


class PolicyFault(_Part):
    """A remediation job with a stale list: sets `allowBlobPublicAccess` to false."""

    kind: Literal["remediation"]
    pace_s: Annotated[float, Field(ge=0)]
    """Seconds between one account and the next."""


class Repair(_Part):
    """Operators let the public read the artifacts again."""

    kind: Literal["repair"]


class ScaleOut(_Part):
    """Operators add cold nodes to the identity service."""

    kind: Literal["scale_out"]
    ratio: Positive
    """New nodes over those at the start."""


class TrafficOff(_Part):
    """Operators take traffic off the identity service and ramp it back."""

    kind: Literal["traffic_off"]
    hold_s: Annotated[float, Field(ge=0)]
    """Seconds with no traffic at all."""
    ramp_s: Positive
    """Seconds from none to all."""


Act = Annotated[Repair | ScaleOut | TrafficOff, Field(discriminator="kind")]


class Entry(_Part):
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
    when: str | None = None
    """Acts only: `DEPENDENCY.success_ratio < NUMBER for MINUTESm`, watched from `at` on, by region
    where the dependency is written `SERVICE@*`."""

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
            _check_known("region", [looked_at], ("*", *self.regions))
        return self


class Seat(StrEnum):
    """Who acts."""

    NOBODY = "nobody"
    YOU = "you"
    ISSUER = "issuer"
    EVERYBODY = "everybody"


class Variant(_Part):
    """One choice of safeguards, seat and share."""

    title: str
    seat: Seat
    share: Ratio
    """Share of the load under the safeguards."""
    mirror_warm_ratio: Ratio | None = None
    """Share of the artifacts that the mirror holds beforehand; none: no mirror."""
    broker: bool = False
    """A token broker on every node of the share."""
    release: Literal["adaptive", "steps", "doubling", "sdk"] | None = None
    """The governor's release law; none: no governor, orchestrators retry as they do today."""
    admission: bool = False
    """The issuer refuses at its door what would wait too long."""


class Expectation(_Part):
    """What must hold of a summary over seeds."""

    variant: str
    """Of which variant."""
    metric: str
    """A metric's name."""
    region: str | None = None
    """Which key, of a metric by region."""
    over: Literal["min", "median", "p95", "max"]
    """Over seeds; nearest rank."""
    at_least: float | None = None
    """Met from here upwards; either this or `at_most`."""
    at_most: float | None = None
    """Met from here downwards; either this or `at_least`."""

    @model_validator(mode="after")
    def _has_one_bound(self) -> "Expectation":
        if (self.at_least is None) is (self.at_most is None):
            raise ValueError("write either `at_least` or `at_most`")
        return self


class Milestone(_Part):
    """A published time, and what in the drill answers to it."""

    name: str
    """What happened, for people."""
    at: datetime
    """When, as published; UTC."""
    source: str
    """Who published it."""
    measure: Annotated[
        str,
        Field(
            pattern=r"^(scripted|provisioning_outage\.(start|end)|identity_outage\.(start|end)@.+)$"
        ),
    ]
    """`scripted`, `provisioning_outage.start`, or `identity_outage.start@REGION` (or `.end`)."""
    calibrates: bool = False
    """A figure was set so that this one fits: it proves nothing."""

    @property
    def region(self) -> str | None:
        """The region that the measure names, if any."""
        return self.measure.partition("@")[2] or None


class Scenario(_Part):
    """A scenario file, with its figures in place."""

    schema_: Annotated[Literal["surgetank/scenario/v1"], Field(alias="schema")]
    """Which form the file has."""
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
    """Small letters, digits and hyphens."""
    title: str
    """For people."""
    start: datetime
    """UTC."""
    end: datetime
    """UTC; after `start`."""
    scale: Annotated[str, Field(pattern=r"^1:[1-9][0-9]*$")]
    """Size of the replica: rates are divided by it, ratios kept."""
    own_share: Annotated[float, Field(gt=0, le=1)]
    """Share of the load that is *yours*, in every variant: the same work, protected or not."""
    figures: dict[str, Figure]
    """Every number, by name; used elsewhere as `$name`."""
    cloud: Cloud
    """The stand-in cloud."""
    fleet: Annotated[tuple[Fleet, ...], Field(min_length=1, max_length=50)]
    """Who wants what; names differ."""
    timeline: Annotated[tuple[Entry, ...], Field(max_length=200)]
    """Faults and acts, in any order."""
    variants: Annotated[dict[str, Variant], Field(min_length=1, max_length=50)]
    """Choices of safeguards, seat and share, by name."""
    expect: Annotated[tuple[Expectation, ...], Field(max_length=100)]
    """What makes the verdict."""
    published: Annotated[tuple[Milestone, ...], Field(max_length=50)]
    """Times to compare with."""

    @model_validator(mode="after")
    def _is_whole(self) -> "Scenario":
        if not self.start < self.end:
            raise ValueError("end must be after start")
        if len({one.name for one in self.fleet}) < len(self.fleet):
            raise ValueError("fleet: two of one name")
        regions = [region for entry in self.timeline for region in entry.regions]
        regions += [one.region for one in self.expect if one.region is not None]
        regions += [one.region for one in self.published if one.region is not None]
        _check_known("region", regions, self.cloud.regions)
        _check_known("variant", [one.variant for one in self.expect], self.variants)
        for name, variant in self.variants.items():
            if variant.seat is Seat.YOU and variant.share != self.own_share:
                raise ValueError(f"{name}: the share of seat `you` is own_share, {self.own_share}")
        return self

    def figure_counts(self) -> tuple[int, int]:
        """How many figures are assumed, and how many there are."""
        assumed = sum(figure.assumed is not None for figure in self.figures.values())
        return assumed, len(self.figures)


def _check_known(what: str, names: Iterable[str], known: Container[str]) -> None:
    for name in names:
        if name not in known:
            raise ValueError(f"no such {what}: {name}")

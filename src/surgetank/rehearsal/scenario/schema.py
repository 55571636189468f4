"""What a scenario file may say: `surgetank/scenario/v1`.

Numbers of `cloud`, `fleet` and `timeline` are written `$name` and stand under `figures`, each with
its source or the word that it is assumed: the reader puts them in place before this schema looks.
Times are UTC instants; seconds, ratios and counts otherwise, as the names say.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from surgetank.control.view import MEANINGS
from surgetank.rehearsal.scenario.event import Entry
from surgetank.rehearsal.scenario.metric import METRICS, Key
from surgetank.rehearsal.scenario.part import Count, Part, Positive, Ratio, Seconds, check_known


class Figure(Part):
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


class Region(Part):
    """One region of the cloud."""

    title: str
    """Its name for people."""
    size: Positive
    """Demand and capacity, where 1 is the largest region."""
    utc_offset_h: Annotated[float, Field(ge=-12, le=14)]
    """Hours that its people's clocks are ahead of UTC."""


class Demand(Part):
    """Machine creates by the local time of day: a quiet floor and one busy hour."""

    quiet_ratio: Ratio
    """Creates at night, over creates at the busiest hour."""
    busy_hour: Annotated[float, Field(ge=0, lt=24)]
    """The busiest hour, local time."""
    busy_width_h: Positive
    """Hours from the busiest until demand above the floor has fallen to 1/e."""


class IdentityStation(Part):
    """Capacity and physics of the token service, alike in every region."""

    headroom: Positive
    """Capacity over the region's own demand for tokens at its busiest hour."""
    nodes: Count
    """Nodes of each region."""
    service_s: Seconds
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
    spread_ratio: Annotated[float, Field(ge=0, lt=1)]
    """Work of one call varies evenly by this share around its mean."""
    health_period_s: Seconds
    """Least seconds between the balancer's checks of its nodes."""
    burst_ratio: Positive
    """With a limit at the door: rate that is let in, over capacity."""
    burst_s: Positive
    """With a limit at the door: seconds of that rate that may come at once."""
    admission_wait_s: Positive
    """With admission at the door: the longest expected wait that is still let in."""


class Reads(Part):
    """How machines read their artifacts: shares of them; all others read as the public does.

    A network path alone does not help against `allowBlobPublicAccess` false, so whoever has one
    here has a credential too.
    """

    private_endpoint: Ratio
    """By a private endpoint, with a signature."""
    service_endpoint: Ratio
    """From a virtual network that the account allows, with a signature."""
    sas: Ratio
    """By the public path, with a shared access signature."""
    identity: Ratio
    """By the public path, with a token of the machine's own identity: one more token each."""

    @model_validator(mode="after")
    def _fits(self) -> "Reads":
        total = self.private_endpoint + self.service_endpoint + self.sas + self.identity
        if round(total, 9) > 1:  # 0.2 + 0.4 + 0.3 + 0.1 is a little more, in floats.
            raise ValueError("the shares of reads add up to more than 1")
        return self


class Cloud(Part):
    """The stand-in cloud."""

    regions: Annotated[dict[str, Region], Field(min_length=1, max_length=60)]
    """Regions by name."""
    demand: Demand
    identity: IdentityStation
    reads: Reads
    latency_s: Annotated[float, Field(ge=0, le=10)]
    """Seconds on the wire, one way."""
    boot_s: Seconds
    """Seconds from a machine's allocation until its agent runs."""
    token_gap_s: Seconds
    """Mean seconds between the tokens that one new machine asks for."""
    accounts: Annotated[int, Field(ge=1, le=100)]
    """Storage accounts of a region that hold artifacts."""
    extensions: Count
    """Different extension packages that machines need; each machine needs one."""
    client_timeout_s: Positive
    """Seconds that a client waits for a token or an artifact."""
    token_life_s: Positive
    """Seconds that a token lives."""
    retry_spread_ratio: Annotated[float, Field(ge=0, lt=1)]
    """Retries fall within this share of their period: no two clients keep step for ever."""


class _Fleet(Part):
    name: str
    """Small letters, digits and hyphens: part of the names of its operations."""
    title: str = ""
    """For people; none: its name."""
    peak_per_s: Positive
    """Operations, calls, pods or jobs a second at the busiest hour of a region of size 1."""
    retry_s: Positive
    """Seconds after which what failed is tried again where no governor says otherwise."""
    patience_s: Positive
    """Seconds after which nobody works on it any more."""


class _Making(_Fleet):
    tokens: Count
    """Tokens that each machine needs before it serves."""
    deadline_s: Positive
    """An operation is fresh, and counts as a success, when done within this time; so does a job or
    pod that has its machine by then."""
    retry_s_max: Positive | None = None
    """Each pause is twice the last one, up to this; none: all are `retry_s`."""


class Creates(_Making):
    """Machines, or scale sets, that somebody wants; demand follows the local time of day."""

    kind: Literal["machine", "scale_set"]
    instances: Count = 1
    """Machines of one operation."""


class NodePools(_Making):
    """Kubernetes-like node groups: pods that find no room are asked nodes for."""

    kind: Literal["node_pools"]
    pools: Count
    """Node groups in a region of size 1; each has one scale-up under way at the most."""
    pods_per_node: Count
    """Pods that a node takes."""
    work_patience_s: Positive
    """Seconds after which a pod that waits is wanted no more."""


class RunnerPools(_Making):
    """Pools of ephemeral CI runners: one machine for each job that waits."""

    kind: Literal["runner_pools"]
    pools: Count
    """Pools in a region of size 1."""
    work_patience_s: Positive
    """Seconds that a job is queued before it times out."""
    idle_s: Seconds
    """Seconds that a runner without a job is kept."""


class Readers(_Fleet):
    """Processes on running nodes that need tokens, day and night alike."""

    kind: Literal["token_readers"]
    nodes: Count
    """Running nodes in a region of size 1."""


Making = Creates | NodePools | RunnerPools
"""Fleets whose operations make machines."""
Fleet = Annotated[Creates | NodePools | RunnerPools | Readers, Field(discriminator="kind")]


ANONYMOUS = "anonymous"
"""The way of all machines that have no other: they read as the public does."""


class Seat(StrEnum):
    """Who acts."""

    NOBODY = "nobody"
    YOU = "you"
    ISSUER = "issuer"
    EVERYBODY = "everybody"


ReleaseName = Literal[
    "adaptive", "sdk", "doubling", "steps", "doubling-gated", "aimd", "vegas", "gradient2",
    "failsafe", "bbr", "botocore", "sre", "pi", "surgetank", "sdk-backoff",
]  # fmt: skip
"""Release laws, ours first; a test holds every law of `surgetank bench drain` to be among them."""


def _called(name: ReleaseName) -> ReleaseName:
    """Give the name that all else knows a law by: the bench calls two of them otherwise."""
    if name == "surgetank":
        return "adaptive"
    return "sdk" if name == "sdk-backoff" else name


class Variant(Part):
    """One choice of safeguards, seat and share."""

    title: str
    seat: Seat
    share: Ratio
    """Share of the load under the safeguards."""
    mirror_warm_ratio: Ratio | None = None
    """Share of the artifacts that the mirror holds beforehand; none: no mirror."""
    broker: bool = False
    """A token broker on every node of the share."""
    release: Annotated[ReleaseName, AfterValidator(_called)] | None = None
    """The governor's release law: `adaptive`, which is ours and also called `surgetank`, or a peer's
    by its name in `surgetank bench drain`; `sdk` is `sdk-backoff`. None: no governor, orchestrators
    retry as they do today."""
    admission: bool = False
    """The issuer refuses at its door what would wait too long."""
    burst_limit: bool = False
    """The issuer turns away what exceeds its rate before any node sees it."""


class Expectation(Part):
    """What must hold of a summary over seeds."""

    variant: str
    """Of which variant."""
    metric: str
    """A metric's name."""
    region: str | None = None
    """Which key, of a metric by region."""
    of: str | None = None
    """Which key, of a metric by fleet, by way of reading, or by milestone."""
    over: Literal["min", "median", "p95", "max"]
    """Over seeds; nearest rank."""
    at_least: float | None = None
    """Met from here upwards; either this or `at_most`."""
    at_most: float | None = None
    """Met from here downwards; either this or `at_least`."""

    @model_validator(mode="after")
    def _has_one_bound_and_one_key(self) -> "Expectation":
        if (self.at_least is None) is (self.at_most is None):
            raise ValueError("write either `at_least` or `at_most`")
        if self.region is not None and self.of is not None:
            raise ValueError("write either `region` or `of`")
        return self

    @property
    def key(self) -> str | None:
        """Which key of a metric that is a mapping."""
        return self.of if self.region is None else self.region


class Said(Part):
    """What another review says of the same milestone."""

    at: datetime
    """UTC."""
    source: str
    """Who published it."""


class Milestone(Part):
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
            pattern=r"^(scripted|provisioning_outage\.(start|end)"
            r"|(identity|pool)_outage\.(start|end)@.+)$"
        ),
    ]
    """`scripted`, `provisioning_outage.start`, `identity_outage.start@REGION` or
    `pool_outage.start@FLEET` (or `.end`)."""
    calibrates: bool = False
    """A figure was set so that this one fits: it proves nothing."""
    also: tuple[Said, ...] = ()
    """What other reviews say, where they differ."""

    @property
    def place(self) -> str | None:
        """The region or fleet that the measure names, if any."""
        return self.measure.partition("@")[2] or None


class Scenario(Part):
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
        check_known("region", regions, self.cloud.regions)
        named = [name for entry in self.timeline for name in (*entry.only, *entry.never)]
        check_known("variant", [*named, *(one.variant for one in self.expect)], self.variants)
        places = {"identity_outage": self.cloud.regions, "pool_outage": self.pools()}
        for milestone in self.published:
            if milestone.place is not None:
                known = places[milestone.measure.partition(".")[0]]
                check_known("region or pool", [milestone.place], known)
        for expectation in self.expect:
            self._check_metric(expectation)
        for name, variant in self.variants.items():
            if variant.seat is Seat.YOU and variant.share != self.own_share:
                raise ValueError(f"{name}: the share of seat `you` is own_share, {self.own_share}")
        return self

    def pools(self) -> list[str]:
        """Names of the fleets whose work waits for machines in a pool."""
        return [one.name for one in self.fleet if isinstance(one, NodePools | RunnerPools)]

    def _check_metric(self, one: Expectation) -> None:
        check_known("metric", [one.metric], METRICS)
        kind = METRICS[one.metric]
        if kind is Key.INSTANT:
            raise ValueError(f"{one.metric} is for plots: expect another metric")
        known = {
            Key.NONE: [None],
            Key.REGION: self.cloud.regions,
            Key.POOL: self.pools(),
            Key.READERS: [fleet.name for fleet in self.fleet if isinstance(fleet, Readers)],
            Key.WAY: [*Reads.model_fields, ANONYMOUS],
            Key.MODE: MEANINGS,
            Key.MILESTONE: [milestone.name for milestone in self.published],
        }[kind]
        if (one.region is not None) is not (kind is Key.REGION) or one.key not in known:
            word = "region" if kind is Key.REGION else "of"
            named = ", ".join(map(str, known)) or "none in this scenario"
            wanted = "no key" if kind is Key.NONE else f"`{word}`: one of {named}"
            raise ValueError(f"{one.metric} needs {wanted}, not {one.key!r}")

    @property
    def divisor(self) -> int:
        """What the rates of the world are divided by in this replica: 1,000 of `1:1000`."""
        return int(self.scale.removeprefix("1:"))

    def figure_counts(self) -> tuple[int, int]:
        """How many figures are assumed, and how many there are."""
        assumed = sum(figure.assumed is not None for figure in self.figures.values())
        return assumed, len(self.figures)

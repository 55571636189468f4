"""The result of a drain bench, `surgetank/drain-bench/v1`: what the JSON holds, and its JSON Schema.

`python -m surgetank.rehearsal.drain.document > FILE` writes the schema, which is published beside
this module as package data; a test holds it current.
"""

import json
import sys
from importlib import resources
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from surgetank.rehearsal.drain.world import World

FILE = "drain-bench-v1.schema.json"
RATIO_MAX = 4.0
"""A run is stopped at four times the optimum, or when it is hopeless, and counts as this."""
Ratio = Annotated[float, Field(gt=0, le=RATIO_MAX, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]
Law = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9+-]*$")]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
Seed = Annotated[str, Field(pattern=r"^[0-9]+$")]
_CLOSED = Field(json_schema_extra={"additionalProperties": False})
"""For a mapping whose keys have a pattern: the generator leaves it open to all others."""


class _Part(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True
    )


class RunResult(_Part):
    """One run."""

    drained: bool
    """Whether the backlog was drained within four times the optimum."""
    ratio: Ratio
    """Time to drain over the optimum; 4 when not drained."""
    fresh_success: Share
    """Share of fresh operations that ended well, retries included."""
    fresh_restored_s: Seconds | None
    """Seconds from when the capacity last rose above fresh and unseen load until 99% of fresh
    operations ended well for good; null: never, or the capacity always sufficed."""
    overload_s: Seconds
    """Seconds with a wait above a quarter of the time-out, capacity lost to overload, or nodes down."""
    wasted_ratio: Share
    """Services spent on rejections and on callers who had gone, over all."""
    shed_ratio: Share
    """Share of fresh operations that the law itself refused."""
    requests: Count
    """Calls made."""


class WorldResult(RunResult):
    """One world, over all seeds: medians by nearest rank, but for what is said otherwise."""

    drained: bool
    """Whether it was drained in every seed."""
    fresh_success: Share
    """The least of the seeds."""
    fresh_restored_s: Seconds | None
    """The most of the seeds."""
    seeds: Annotated[dict[Seed, RunResult], Field(min_length=1), _CLOSED]
    """The runs, by seed."""


class Quantiles(_Part):
    """One figure over worlds, by nearest rank: each is a value that was seen."""

    median: Seconds
    """The middle world."""
    p90: Seconds
    """Of ten worlds, the second worst."""
    worst: Seconds
    """The worst."""


class FreshSummary(_Part):
    """Fresh operations, over the worlds where they can all be served."""

    worlds: Count
    """How many of these there are."""
    share: Share | None
    """Share of them where at least 99.9% ended well; null: there is none."""
    minimum: Share | None
    """The least success in any; null: there is none."""


class RecoverySummary(_Part):
    """Fresh operations, over the worlds where they alone are too much for a while."""

    worlds: Count
    """How many of these there are."""
    share: Share | None
    """Share of them where they were served again within 60 s of capacity; null: there is none."""
    median_s: Seconds | None
    """Until they were served again; null: never, or there is none."""
    p90_s: Seconds | None
    """Of ten worlds, the second worst."""
    worst_s: Seconds | None
    """The worst."""


class Summary(_Part):
    """One law over all worlds."""

    worlds: Count
    """How many were played."""
    drained_share: Share
    """Share of them that were drained within four times the optimum."""
    ratio: Quantiles
    """Time to drain over the optimum; what was not drained counts as 4."""
    fresh: FreshSummary
    """Fresh operations where they can all be served."""
    recovery: RecoverySummary
    """Fresh operations where they alone are too much for a while."""
    overload_s: Quantiles
    """Seconds of overload."""
    wasted_ratio: Quantiles
    """Wasted services."""


class LawResult(_Part):
    """One law."""

    worlds: Annotated[dict[Name, WorldResult], Field(min_length=1), _CLOSED]
    """Each world that was played."""
    summary: Summary
    """All of them together."""


class PlayedWorld(_Part):
    """One world: with a seed it is all that it takes to play a run again."""

    optimum_s: Seconds
    """Least seconds in which a law that knows everything drains it."""
    judged_by: Literal["success", "recovery"]
    """Whether fresh operations can all be served, or are too much by themselves for a while."""
    requests_max: Count
    """Calls after which a run counts as hopeless."""
    keys: World
    """What its file says, defaults written out."""


class Document(_Part):
    """What a drain bench found."""

    schema_: Literal["surgetank/drain-bench/v1"] = Field(alias="schema")
    """Which form the object has."""
    worlds: Annotated[dict[Name, PlayedWorld], Field(min_length=1), _CLOSED]
    """The worlds that were played, by name."""
    laws: Annotated[dict[Law, LawResult], Field(min_length=1), _CLOSED]
    """The laws, in the order asked for; a name that ends in `+breaker` is wrapped in our breaker."""


def document_schema() -> dict[str, Any]:
    """Make the schema."""
    schema = Document.model_json_schema(by_alias=True)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return schema


def published() -> str:
    """Read the schema that ships, as text."""
    file = resources.files("surgetank.rehearsal.drain") / FILE
    return file.read_text(encoding="utf-8")


if __name__ == "__main__":
    sys.stdout.write(json.dumps(document_schema(), indent=2) + "\n")

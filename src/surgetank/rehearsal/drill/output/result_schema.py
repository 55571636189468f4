"""The shape of a drill's result, `surgetank/drill-result/v1`: its JSON Schema, and its reader.

`result.py` builds plain objects; these models say what they hold, and read them back where two
drills are compared. A key that is not here is an error, so that a misspelt one is found; names of
metrics are open, as scenarios and results of other releases may know other ones.
`python -m surgetank.rehearsal.drill.output.result_schema > FILE` writes the schema, which is published
beside this module as package data; a test holds it current.
"""

import json
import sys
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from surgetank.core.errors import ConfigError
from surgetank.rehearsal.drill.output.bounded_file import read_bounded
from surgetank.rehearsal.scenario.schema import Seat

FILE = "drill-result-v1.schema.json"
RESULT_BYTES_MAX = 64 << 20
"""Largest result read: some 20,000 runs, or 2,000 whose governors have much to do."""
_VALUE_CHARACTERS_MAX = 80

Number = Annotated[float, Field(allow_inf_nan=False)]
Instant = Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$")]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Seed = Annotated[str, Field(pattern=r"^[0-9]+$")]
Mode = Literal["open", "half_open", "trickle", "ramp", "drain", "cruise", "probe", "shed"]
_CLOSED = Field(json_schema_extra={"additionalProperties": False})
"""For a mapping whose keys have a pattern: the generator leaves it open to all others."""


class _Part(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True
    )


class Summary(_Part):
    """One number over seeds, by nearest rank: each is a value that was seen."""

    median: Number | None
    """The middle one of the seeds; null: it never came about, or there was nothing to measure."""
    p5: Number | None
    """Of a hundred seeds, the fifth lowest; with few seeds, the lowest."""
    p95: Number | None
    """Of a hundred seeds, the fifth highest; with few seeds, the highest; null sorts last."""


class Turn(_Part):
    """From when on a governor did what it did, until the next."""

    at: Instant
    """The end of the first minute in which it was seen so; UTC."""
    mode: Mode
    """What it does; a peer's law is told by that of ours which its own mode resembles."""
    waits_for: str
    """What has to happen next, in words."""
    takes: str
    """How far that was off then, in numbers; empty where the law does not say."""


class RunResult(_Part):
    """What came of one run."""

    trace_hash: str
    """Equal for equal scenario, variant, seed and code."""
    metrics: Annotated[dict[Name, Number | dict[str, Number | None] | None], _CLOSED]
    """What was measured, by the name of the metric: a number, null (it never came about, or there
    was nothing to measure), or a mapping by region, fleet, milestone, mode or instant."""
    governors: dict[str, tuple[Turn, ...]] = {}
    """What each governor did over time, by dependency, looked at once a minute; left out where
    there is no governor."""


class VariantResult(_Part):
    """One variant, over all seeds."""

    title: str
    """Its name for people."""
    seat: Seat
    """Who acts."""
    share: Annotated[float, Field(ge=0, le=1)]
    """Share of the load under the safeguards."""
    seeds: Annotated[dict[Seed, RunResult], Field(min_length=1), _CLOSED]
    """The runs, by seed."""
    summary: Annotated[dict[Name, Summary | dict[str, Summary]], _CLOSED]
    """Each metric over seeds; of a mapping, key by key."""


class Said(_Part):
    """What another review says of the same milestone."""

    published: Instant
    """When, as published; UTC."""
    source: str
    """Who published it."""


class MilestoneResult(_Part):
    """A published time, and when it came about with nobody acting."""

    name: str
    """What happened, for people."""
    published: Instant
    """When, as published; UTC."""
    source: str
    """Who published it."""
    also: tuple[Said, ...] = ()
    """What other reviews say, where they differ."""
    median: Instant | None
    """When it came about, in the median over seeds; null: never, or it was not measured."""
    p5: Instant | None
    """The early end over seeds."""
    p95: Instant | None
    """The late end over seeds; null sorts last."""
    kind: Literal["scripted", "calibrated", "emerged"]
    """Whether the scenario writes it, or a figure was set so that it fits, or it followed."""


class Flip(_Part):
    """How far an assumed figure can move before the verdict flips."""

    figure: str
    """Its name in the scenario."""
    assumed: Number
    """The number that was played with."""
    low: Number | None = None
    """The least that was tried."""
    high: Number | None = None
    """The most that was tried."""
    flips_below: Number | None
    """The verdict is another from here downwards; null: nowhere in its range."""
    flips_above: Number | None
    """The verdict is another from here upwards; null: nowhere in its range."""
    because: str | None = None
    """The expectation that flips at the nearer of both."""
    because_below: str | None = None
    """The expectation that flips below."""
    because_above: str | None = None
    """The expectation that flips above."""
    refused_below: str | None = None
    """Why the least could not be played, where it could not."""
    refused_above: str | None = None
    """Why the most could not be played, where it could not."""
    is_played: bool = True
    """Whether any variant that the verdict is of meets the figure; false: nothing was tried."""


class Point(BaseModel):
    """One value of a sweep; other keys may stand here."""

    model_config = ConfigDict(extra="allow", frozen=True, use_attribute_docstrings=True)

    value: Number
    """What was set."""
    variant: str
    """The variant of the result that was played with it."""


class Sweep(BaseModel):
    """One setting moved through a range, each value a variant of its own; other keys may stand here."""

    model_config = ConfigDict(extra="allow", frozen=True, use_attribute_docstrings=True)

    name: str
    """Of the setting."""
    points: tuple[Point, ...]
    """The values, in order."""


class ExpectationResult(_Part):
    """What the scenario expects, held against the runs."""

    text: str
    """`VARIANT: METRIC, QUANTILE over seeds, BOUND`."""
    observed: Number | None
    """That quantile; null: it was not measured in every seed, or never came about."""
    met: bool
    """Whether it lies within the bound; null never does."""


class Result(_Part):
    """The result of a drill."""

    schema_: Annotated[Literal["surgetank/drill-result/v1"], Field(alias="schema")]
    """Which form the object has."""
    scenario: str
    """Name of what was played."""
    scenario_digest: str | None = None
    """Equal for scenarios that say the same, however their files are written."""
    scale: Annotated[str, Field(pattern=r"^1:[1-9][0-9]*$")]
    """Size of the replica: rates are divided by it, ratios kept."""
    seeds: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)]
    """The seeds played, in order."""
    variants: Annotated[dict[str, VariantResult], Field(min_length=1)]
    """The variants played, by name, in the order of the scenario."""
    milestones: tuple[MilestoneResult, ...]
    """Published times, in the order of the scenario."""
    sensitivity: tuple[Flip, ...]
    """Assumed figures that were moved; empty: none was."""
    sensitivity_source: str | None = None
    """Where `sensitivity` comes from, when it is not of this drill."""
    sweep: Sweep | None = None
    """What was swept, if anything."""
    expectations: tuple[ExpectationResult, ...]
    """Those of the variants played, in the order of the scenario."""
    verdict: Literal["met", "not_met"]
    """Whether all expectations are met."""


def result_schema() -> dict[str, Any]:
    """Make the schema."""
    schema = Result.model_json_schema(by_alias=True)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return schema


def published() -> str:
    """Read the schema that ships, as text."""
    file = resources.files("surgetank.rehearsal.drill.output") / FILE
    return file.read_text(encoding="utf-8")


def read_result(path: Path) -> Result:
    """Read a result that a drill wrote with `--json`.

    Raises:
        ConfigError: It cannot be read, is larger than `RESULT_BYTES_MAX`, or is no result.
    """
    wanted = "the JSON that `surgetank drill --json PATH` wrote"
    content = read_bounded(path, bytes_max=RESULT_BYTES_MAX, wanted=wanted)
    try:
        return Result.model_validate_json(content)
    except ValidationError as error:
        raise _first_error(path, error) from None


def _first_error(path: Path, error: ValidationError) -> ConfigError:
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "(file)"
    value = str(first["input"])[:_VALUE_CHARACTERS_MAX] if first["loc"] else "(content)"
    wanted = f"{first['msg']}; a result is what `surgetank drill --json PATH` wrote"
    return ConfigError(file=str(path), key=where, value=value, wanted=wanted)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(result_schema(), indent=2) + "\n")

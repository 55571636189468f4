"""The published schema says what results hold, finds what they should not, and is read back."""

import json
import os
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # it ships no types

from surgetank.core.errors import ConfigError
from surgetank.rehearsal.drill.metrics import Metrics
from surgetank.rehearsal.drill.output.result_schema import (
    RESULT_BYTES_MAX,
    published,
    read_result,
    result_schema,
)
from surgetank.rehearsal.drill.play import Run
from surgetank.rehearsal.drill.result import build_result
from surgetank.rehearsal.drill.study.sensitivity_file import add_shipped
from surgetank.rehearsal.scenario.reader import library, load
from surgetank.rehearsal.scenario.schema import Scenario

INSTANT = "2026-02-02T18:29:00Z"
FLIP = {"figure": "retry_s", "assumed": 3600, "flips_below": 1800.0, "flips_above": None}
Path_ = tuple[str | int, ...]


def complaints(result: Any) -> list[str]:
    validator: Any = Draft202012Validator(result_schema())
    return [error.message for error in validator.iter_errors(json.loads(json.dumps(result)))]


def changed(result: dict[str, Any], where: Path_, value: object) -> dict[str, Any]:
    """A copy of a result with `value` at `where`."""
    copy = deepcopy(result)
    part: Any = copy
    for step in where[:-1]:
        part = part[step]
    part[where[-1]] = value
    return copy


def test_the_published_schema_is_current() -> None:
    assert json.loads(published()) == result_schema(), (
        "write it anew: python -m surgetank.rehearsal.drill.output.result_schema"
    )


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(result_schema())


def test_what_was_played_fits(result: dict[str, Any]) -> None:
    assert complaints(result) == []


@pytest.mark.parametrize("metrics", [{"x": None}, {"x": {}}, {"x": {"a": 1.5}, "y_2": 3}])
def test_what_may_be_measured_fits(scenario: Scenario, runs: list[Run], metrics: Metrics) -> None:
    played = [one._replace(metrics=metrics) for one in runs]
    bare = scenario.model_copy(update={"expect": ()})
    assert complaints(build_result(bare, played)) == []


@pytest.mark.parametrize("name", library())
def test_the_sensitivity_that_ships_fits(name: str, result: dict[str, Any]) -> None:
    add_shipped(result, load(name))
    assert complaints(result) == []


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("milestones", 0, "also"), [{"published": INSTANT, "source": "another review"}]),
        (("sensitivity",), [FLIP]),
        (("sensitivity",), [{**FLIP, "because": "the outage goes", "low": 1, "high": 2}]),
        (("sensitivity",), [{**FLIP, "is_played": False}]),
        (("sensitivity_source",), "shipped"),
        (("sweep",), {"name": "share", "points": [{"value": 1, "variant": "x", "of": "y"}]}),
    ],
)
def test_what_is_not_always_there_fits(result: dict[str, Any], where: Path_, value: object) -> None:
    assert complaints(changed(result, where, value)) == []


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("verdikt",), "met"),
        (("variants", "nobody", "seet"), "nobody"),
        (("variants", "nobody", "seeds", "one"), {"trace_hash": "", "metrics": {}}),
        (("variants", "nobody", "seeds", "1", "trace"), ""),
        (("variants", "nobody", "seeds", "1", "metrics", "Drain S"), 1),
        (("variants", "nobody", "seeds", "1", "metrics", "drain_s"), "long"),
        (("variants", "nobody", "summary", "drain_s", "p50"), 1),
        (("milestones", 0, "publishd"), INSTANT),
        (("milestones", 0, "published"), "18:29"),
        (("expectations", 0, "mett"), True),
        (("sensitivity",), [{**FLIP, "flips": 1}]),
        (("seeds",), []),
        (("schema",), "surgetank/drill-result/v2"),
    ],
)
def test_what_does_not_belong_is_found(result: dict[str, Any], where: Path_, value: object) -> None:
    assert len(complaints(changed(result, where, value))) == 1


def test_every_key_is_described() -> None:
    schema = result_schema()
    parts = {"Result": schema, **schema["$defs"]}
    silent = [
        f"{name}.{key}"
        for name, part in parts.items()
        for key, field in part.get("properties", {}).items()
        if "description" not in field and "$ref" not in field
    ]
    assert silent == []


@pytest.fixture
def written(tmp_path: Path) -> Callable[[object], Path]:
    def write(result: object) -> Path:
        path = tmp_path / "result.json"
        path.write_text(json.dumps(result))
        return path

    return write


def test_a_result_is_read_back(result: dict[str, Any], written: Callable[[object], Path]) -> None:
    read = read_result(written(result))
    assert read.model_dump(mode="json", by_alias=True, exclude_defaults=True) == {
        **json.loads(json.dumps(result)),
        "milestones": [
            {key: value for key, value in one.items() if key != "also" or value}
            for one in result["milestones"]
        ],
    }


@pytest.mark.parametrize(
    ("where", "value", "key"),
    [
        (("verdikt",), "met", "verdikt"),
        (("schema",), "surgetank/scenario/v1", "schema"),
        (("variants", "nobody", "share"), "none", "variants.nobody.share"),
        (("variants", "nobody", "seeds", "1", "metrics", "drain_s"), float("nan"), "drain_s"),
    ],
)
def test_what_is_no_result_is_refused_by_key(
    result: dict[str, Any],
    written: Callable[[object], Path],
    where: Path_,
    value: object,
    key: str,
) -> None:
    with pytest.raises(ConfigError, match=key):
        read_result(written(changed(result, where, value)))


@pytest.mark.parametrize("content", ["", "{", "[]", "null", "\udcff", "[" * 100_000])
def test_what_is_no_object_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "result.json"
    path.write_text(content, errors="surrogateescape")
    with pytest.raises(ConfigError, match="surgetank drill --json PATH"):
        read_result(path)


def test_a_result_that_is_too_long_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.touch()
    os.truncate(path, RESULT_BYTES_MAX + 1)
    with pytest.raises(ConfigError, match=f"at most {RESULT_BYTES_MAX} bytes"):
        read_result(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nothing\.json"):
        read_result(tmp_path / "nothing.json")

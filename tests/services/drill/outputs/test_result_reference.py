"""The reference page of results is the one that their schema makes."""

from pathlib import Path

import pytest

from surgetank.rehearsal.drill.output.result_reference import reference
from surgetank.rehearsal.drill.output.result_schema import result_schema
from surgetank.rehearsal.scenario.metric import METRICS

PAGE = Path(__file__).parents[4] / "docs" / "reference" / "result.md"


def test_the_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == reference(), (
        "write it anew: python -m surgetank.rehearsal.drill.output.result_reference"
    )


@pytest.mark.parametrize("part", ["Result", *result_schema()["$defs"]])
def test_every_part_has_a_section(part: str) -> None:
    assert f"\n## {part}\n" in reference()


def test_every_key_has_a_row() -> None:
    schema = result_schema()
    parts = [schema, *schema["$defs"].values()]
    page = reference()
    assert [
        key for part in parts for key in part.get("properties", {}) if f"| `{key}` |" not in page
    ] == []


def test_every_metric_has_a_row() -> None:
    page = reference()
    assert [name for name in METRICS if f"| `{name}` |" not in page] == []


def test_a_list_of_choices_is_one_type() -> None:
    assert "| mapping to (number or mapping to (number or null) or null) |" in reference()

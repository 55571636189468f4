"""What the documentation says in words that may not stand there, and its pages made from the code."""

import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import typer

from surgetank.app.cli.entry import GROUPS
from surgetank.app.cli.reference import COMMANDS, PAGES, reference
from surgetank.core import errors
from surgetank.core.errors import SurgetankError
from surgetank.rehearsal.drain.reader import parse
from surgetank.rehearsal.drain.world import Change, World
from surgetank.rehearsal.scenario.file_schema import file_schema
from surgetank.rehearsal.scenario.metric import METRICS, Key

DOCS = Path(__file__).parents[2] / "docs"
TEXTS = sorted(file for kind in ("*.md", "*.py", "*.svg") for file in DOCS.rglob(kind))
DRAWINGS = sorted(DOCS.rglob("*.svg"))
DRAWING_BYTES_MAX = 60_000


def _commands(command: object, words: str = "") -> Iterator[str]:
    yield words
    below: dict[str, object] = getattr(command, "commands", {})
    for name, one in below.items():
        yield from _commands(one, f"{words} {name}".strip())


def _name(file: Path) -> str:
    return str(file.relative_to(DOCS))


@pytest.mark.parametrize("file", TEXTS, ids=_name)
def test_no_page_speaks_of_how_it_was_made_or_flatters_itself(file: Path) -> None:
    words = r"/wor[k]/|prototyp|helpe[r]\b|\bsimpl[y]\b|\brobus[t]\b"
    assert not re.search(words, file.read_text(encoding="utf-8"), re.IGNORECASE)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_made_from_the_code_is_current(page: str) -> None:
    written = (DOCS / "reference" / f"{page}.md").read_text(encoding="utf-8")
    assert written == reference(page), (
        f"write it anew: python -m surgetank.app.cli.reference {page} > docs/reference/{page}.md"
    )


def test_every_command_is_on_its_page() -> None:
    app = typer.Typer()
    for name in GROUPS:
        import_module(f"surgetank.app.cli.{name}").register(app)
    assert sorted(COMMANDS) == sorted(_commands(typer.main.get_command(app)))


def test_every_error_code_is_on_the_page_of_the_command_line() -> None:
    page = reference("command-line")
    classes = [one for one in vars(errors).values() if isinstance(one, type)]
    codes = {one.code for one in classes if issubclass(one, SurgetankError)}
    assert [code for code in codes if f"| `{code}` |" not in page] == []


def test_every_key_of_a_scenario_is_on_its_page() -> None:
    page = reference("scenario")
    schema = file_schema()
    parts = [schema, *schema["$defs"].values()]
    keys = {key for part in parts for key in part.get("properties", {})}
    assert [key for key in keys if f"| `{key}` |" not in page] == []


def test_every_key_of_a_world_is_on_its_page_in_the_table_of_its_part() -> None:
    world, _, change = reference("world").partition("## World")[2].partition("## Change")
    for part, model in ((world, World), (change, Change)):
        assert re.findall(r"^\| `(\w+)` \|", part, re.MULTILINE) == list(model.model_fields)


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("title", "string, at least 1, at most 120 characters | required |"),
        ("capacity_per_s", "number, calls a second, at least 0.1, at most 10000 | required |"),
        ("warm_s", "number, seconds, above 0, at most 3600 | `60.0` |"),
        ("nodes", "integer, count, at least 1, at most 1000 | `20` |"),
        ("collapse", "number, at least 0, at most 10 | `0.0` |"),
        ("is_crashing", "boolean | `false` |"),
        ("schedule", "list of [Change](#change), at most 256 | `[]` |"),
    ],
)
def test_a_key_of_a_world_has_unit_bounds_and_default(key: str, said: str) -> None:
    assert f"| `{key}` | {said}" in reference("world")


def test_what_a_change_leaves_out_is_no_value() -> None:
    rows = reference("world").partition("## Change")[2]
    assert "| `error_ratio` | number, ratio, at least 0, at most 0.5 | left out |" in rows


def test_the_example_of_a_world_is_one() -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", reference("world"), re.DOTALL)
    assert parse(example.encode(), file="night.toml").schedule[0].capacity_ratio == 0.5


def test_every_metric_that_can_be_expected_is_on_the_page_of_scenarios() -> None:
    rows = reference("scenario").partition("| write | metrics |")[2]
    named = [
        name for name, key in METRICS.items() if f"`{name}`" in rows and key is not Key.INSTANT
    ]
    assert named == [name for name, key in METRICS.items() if key is not Key.INSTANT]


@pytest.mark.parametrize("file", DRAWINGS, ids=_name)
def test_a_drawing_is_small_and_says_in_words_what_it_shows(file: Path) -> None:
    assert file.stat().st_size <= DRAWING_BYTES_MAX
    root = ET.parse(file).getroot()  # noqa: S314 - a drawing of our own
    first, second = root[0], root[1]
    assert (first.tag.rpartition("}")[2], second.tag.rpartition("}")[2]) == ("title", "desc")
    assert first.text
    assert second.text


@pytest.mark.parametrize("file", DRAWINGS, ids=_name)
def test_a_drawing_has_colours_for_light_and_for_dark(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert ":root{--ground:" in text
    assert "@media (prefers-color-scheme:dark){:root{--ground:" in text

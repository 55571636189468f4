"""`surgetank op list` fits the terminal, and says all in a pipe."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from surgetank.app.cli.op_table import show_operations

ID = "05c4fada8e9de65d81f83e9591f9924"
CREATED_AT = "2026-02-02T18:03:00.000Z"
NOW = 1_770_055_380.0
"""When they were created."""

Shown = Callable[..., list[str]]


def operation(number: int, **facts: Any) -> dict[str, Any]:
    """An operation as the HTTP API lists it, with some facts otherwise."""
    usual = {
        "id": f"{ID}{number:x}",
        "state": "superseded",
        "kind": "start_runner",
        "region": "swedencentral",
        "lane": "backlog",
        "subject": "vmss/blue-1",
        "created_at": CREATED_AT,
        "detail": "vm: 400 SkuNotAvailable: no such size in this zone",
    }
    return usual | facts


@pytest.fixture
def shown(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shown:
    """The lines that a list takes, on a terminal of so many columns, or in a pipe."""

    def shown(
        *found: dict[str, Any], columns: int | None = None, after_s: float = 0.0
    ) -> list[str]:
        monkeypatch.delenv("COLUMNS", raising=False)
        if columns is not None:
            monkeypatch.setenv("COLUMNS", str(columns))
        show_operations(found, now=NOW + after_s)
        return capsys.readouterr().out.splitlines()

    return shown


@pytest.mark.parametrize("columns", [70, 80, 100, 120, 160, 200])
def test_no_line_is_longer_than_the_terminal_and_every_id_is_whole(
    shown: Shown, columns: int
) -> None:
    found = [operation(number) for number in range(15)]
    head, *lines = shown(*found, columns=columns)
    assert max(map(len, [head, *lines])) <= columns
    assert [line.split()[0] for line in lines] == [one["id"] for one in found]


def test_80_columns_have_room_for_what_it_is_and_how_it_ended(shown: Shown) -> None:
    head, line = shown(operation(1), columns=80)
    assert head.split() == ["id", "state", "age", "kind", "detail"]
    assert line.split()[1:5] == ["superseded", "0s", "start_runner", "vm:"]


def test_a_detail_that_does_not_fit_ends_in_an_ellipsis(shown: Shown) -> None:
    _, line = shown(operation(1), columns=80)
    assert line.endswith("  vm: 400 SkuNot…")


def test_a_wide_terminal_shows_every_fact_whole(shown: Shown) -> None:
    head, line = shown(operation(1), columns=160)
    assert head.split() == ["id", "state", "age", "kind", "region", "lane", "subject", "detail"]
    assert line.rstrip().endswith("vmss/blue-1  vm: 400 SkuNotAvailable: no such size in this zone")


@pytest.mark.parametrize(
    ("columns", "names"),
    [
        (140, "id state age kind region lane subject detail"),
        (115, "id state age kind region subject detail"),
        (100, "id state age kind subject detail"),
        (82, "id state age kind detail"),
        (70, "id state age detail"),
        (20, "id state age detail"),
    ],
)
def test_the_narrower_the_terminal_the_less_of_what_is_told_elsewhere(
    shown: Shown, columns: int, names: str
) -> None:
    assert shown(operation(1), columns=columns)[0].split() == names.split()


def test_a_fact_that_no_operation_has_takes_no_room(shown: Shown) -> None:
    head, line = shown(operation(1, subject="", detail=""), columns=87)
    assert head.split() == ["id", "state", "age", "kind", "region", "lane"]
    assert line.split()[-1] == "backlog"


def test_a_pipe_gets_instants_and_whole_lines(shown: Shown) -> None:
    head, line = shown(operation(1))
    assert head.split() == ["id", "state", "kind", "region", "lane", "subject", "created", "detail"]
    assert CREATED_AT in line
    assert line.endswith("vm: 400 SkuNotAvailable: no such size in this zone")


def test_a_detail_of_several_lines_takes_one(shown: Shown) -> None:
    _, line = shown(operation(1, detail="exit 1:\n  no\tspace"), columns=160)
    assert line.endswith("exit 1: no space")


def test_what_an_operation_says_is_no_markup(shown: Shown) -> None:
    _, line = shown(operation(1, detail="[red]exit 1[/red]"), columns=160)
    assert line.endswith("[red]exit 1[/red]")


def test_signs_of_two_columns_are_counted_so(shown: Shown) -> None:
    _, line = shown(operation(1, detail="空" * 60), columns=80)
    assert len(line.rstrip()) <= 80 - line.count("空")


@pytest.mark.parametrize(
    ("after_s", "age"),
    [
        (-5, "0s"),  # the clock of who submitted was ahead
        (0.9, "0s"),
        (59.9, "59s"),
        (60, "1m"),
        (3_599, "59m"),
        (3_600, "1h"),
        (86_399, "23h"),
        (86_400, "1d"),
        (400 * 86_400, "400d"),
    ],
)
def test_an_age_is_in_its_largest_unit(shown: Shown, after_s: float, age: str) -> None:
    _, line = shown(operation(1), columns=160, after_s=after_s)
    assert re.split(" {2,}| ", line)[2] == age

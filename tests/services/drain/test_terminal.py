"""The terminal shows a line for each law, and the worlds where the first one is slowest."""

import io
from collections.abc import Callable

import pytest
from rich.console import Console

from surgetank.rehearsal.drain.document import Document
from surgetank.rehearsal.drain.summary import Case, Run, build
from surgetank.rehearsal.drain.terminal import SLOWEST, percent, render
from surgetank.rehearsal.drain.world import World

MakeWorld = Callable[..., World]
MakeRun = Callable[..., Run]

SHORT = [{"at_s": 0, "capacity_ratio": 0.2}, {"at_s": 50}]


def said(document: Document) -> list[str]:
    file = io.StringIO()
    Console(file=file, width=200, highlight=False).print(render(document))
    return [" ".join(line.split()) for line in file.getvalue().splitlines()]


def test_a_law_is_one_line(world: MakeWorld, run: MakeRun) -> None:
    cases = [
        Case("plain", world(), [1], 10**6),
        Case("short", world(schedule=SHORT), [1], 10**6),
    ]
    runs = [
        run(world="plain", drained_s=111.0, fresh_success=0.9987, wasted_ratio=0.0129),
        run(world="short", drained_s=None, fresh_restored_s=61.0, overload_s=7.0),
    ]
    lines = said(build(cases, runs))
    assert lines[0] == "Draining a backlog · virtual clock · 2 worlds · 2 runs"
    assert "law done median p90 worst fresh least back over waste" in lines
    assert "aimd 50% 1.110 4.000 4.000 0% 99.8% 0% 0 s 0%" in lines


def test_where_fresh_could_not_all_be_served_its_success_is_not_judged(
    world: MakeWorld, run: MakeRun
) -> None:
    case = Case("short", world(schedule=SHORT), [1], 10**6)
    lines = said(build([case], [run(world="short", drained_s=165.0, fresh_restored_s=9.0)]))
    assert "aimd 100% 1.100 1.100 1.100 - - 100% 0 s 0%" in lines
    assert lines[-1] == "short yes 1.100 100% 9 s 0 s 0%"


def test_fresh_that_is_not_served_again_never_comes_back(world: MakeWorld, run: MakeRun) -> None:
    case = Case("short", world(schedule=SHORT), [1], 10**6)
    lines = said(build([case], [run(world="short", drained_s=165.0)]))
    assert "aimd 100% 1.100 1.100 1.100 - - 0% 0 s 0%" in lines
    assert lines[-1] == "short yes 1.100 100% never 0 s 0%"


def test_where_nothing_had_to_come_back_nothing_is_said(world: MakeWorld, run: MakeRun) -> None:
    lines = said(build([Case("plain", world(), [1], 10**6)], [run()]))
    assert "aimd 100% 1.100 1.100 1.100 100% 100% - 0 s 0%" in lines
    assert lines[0].endswith("1 world · 1 run")


def test_everything_fits_into_80_columns(world: MakeWorld, run: MakeRun) -> None:
    law, name = "doubling-gated+breaker", "w" * 60
    case = Case(name, world(schedule=SHORT), [1], 10**6)
    one = run(
        law=law, world=name, drained_s=None, fresh_success=0.9876, fresh_restored_s=2_345.0,
        overload_s=9_876.0, wasted_ratio=0.9876,
    )  # fmt: skip
    narrow, wide = io.StringIO(), io.StringIO()
    for file, width in ((narrow, 80), (wide, 200)):
        Console(file=file, width=width, highlight=False).print(render(build([case], [one])))
    lines = narrow.getvalue().splitlines()
    assert len(lines) == len(wide.getvalue().splitlines())  # nothing was broken in two
    assert max(len(line.rstrip()) for line in lines) <= 80
    assert f"{law}    0%  4.000 4.000 4.000     -     -    0% 9876 s 98.7%" in lines
    (last,) = (line for line in lines if line.startswith("www"))
    assert last.split()[1:] == ["no", "4.000", "98.7%", "2345", "s", "9876", "s", "98.7%"]


def test_the_slowest_worlds_of_the_first_law_are_listed(world: MakeWorld, run: MakeRun) -> None:
    names = [f"w-{index:02}" for index in range(SLOWEST + 2)]
    cases = [Case(name, world(), [1], 10**6) for name in names]
    runs = [
        run(law=law, world=name, drained_s=100.0 + index)
        for law in ("pi", "aimd")
        for index, name in enumerate(names)
    ]
    lines = said(build(cases, runs))
    begin = lines.index("where pi is slowest")
    assert [line.split()[0] for line in lines[begin + 2 :]] == names[:1:-1]
    assert lines[begin + 2] == "w-11 yes 1.110 100% - 0 s 0%"


@pytest.mark.parametrize(
    ("share", "words"),
    [(None, "-"), (1.0, "100%"), (0.99999, "99.9%"), (0.9995, "99.9%"), (0.29, "29%"), (0.0, "0%")],
)
def test_a_share_is_never_rounded_up(share: float | None, words: str) -> None:
    assert percent(share) == words

"""What the page on the drain bench says follows from the runs, and nothing there is written by hand."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

import pytest

from surgetank.rehearsal.drain.ablation import ABLATED
from surgetank.rehearsal.drain.bench import ablated_names, law_names
from surgetank.rehearsal.drain.document import Document
from surgetank.rehearsal.drain.summary import Case, Run, build
from surgetank.rehearsal.drain.world import World

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "drain-bench.md"
MARK = re.compile(r"<!--=[^>]*-->.*?<!--/-->", re.DOTALL)

Import = Callable[[str], ModuleType]


def world(**keys: Any) -> World:
    usual: dict[str, Any] = {
        "title": "plain",
        "capacity_per_s": 100.0,
        "fresh_ratio": 0.3,
        "backlog": 7_000,
        "timeout_s": 2.0,
        "latency_s": 0.04,
        "queue_max": 300,
    }
    return World.model_validate(usual | keys)


WORLDS = {
    "easy": world(),
    "small": world(capacity_per_s=10.0, backlog=700, workers=5, is_shared=False),
    "crash": world(is_crashing=True, unseen_ratio=0.1),
}


Took = Mapping[tuple[str, str], float | None]
"""Seconds to drain, by law and world; None: never."""


def document(laws: list[str], took_s: Took, worlds: Mapping[str, World]) -> Document:
    """Every law drains every world in 110 s, a tenth over the optimum, but for what is given."""
    cases = [Case(name, one, [1], 300_000) for name, one in worlds.items()]
    runs = [
        Run(
            law=law, world=name, seed=1, drained_s=took_s.get((law, name), 110.0),
            fresh_success=1.0 if law != "aimd" else 0.5, fresh_restored_s=None, overload_s=0.0,
            wasted_ratio=0.0, shed_ratio=0.0, requests=10_000,
        )
        for law in laws
        for name in worlds
    ]  # fmt: skip
    return build(cases, runs)


def facts(
    tool: Import, took_s: Took, worlds: Mapping[str, World] = MappingProxyType(WORLDS)
) -> dict[str, str]:
    wrapped = [name for name in ablated_names() if name.endswith("+breaker")]
    found, ablated = (document(laws, took_s, worlds) for laws in (law_names(), wrapped))
    made: dict[str, str] = tool("drain").facts(found, ablated)
    return made


def first_cells(lines: str) -> list[str]:
    """The first column of a table, without its head."""
    return [row.split(" | ")[0].removeprefix("| ") for row in lines.strip().split("\n")[2:]]


def test_every_mark_of_the_page_names_a_fact(tool: Import) -> None:
    tool("page").fill(PAGE.read_text(), {"drain": facts(tool, {})})


def test_the_seed_stands_in_one_place(tool: Import) -> None:
    seed = str(tool("drain").SEED)
    assert f"--seed {seed} " in facts(tool, {})["command"]
    assert seed not in MARK.sub("", PAGE.read_text())


def test_the_seed_is_odd_as_laws_are_judged_on_odd_ones(tool: Import) -> None:
    assert tool("drain").SEED % 2 == 1


@pytest.mark.parametrize(
    ("share", "low", "high"), [(0.0, 0.0, 0.037), (0.5, 0.404, 0.596), (1.0, 0.963, 1.0)]
)
def test_what_chance_allows_is_the_score_interval(
    tool: Import, share: float, low: float, high: float
) -> None:
    assert tool("drain").interval(share, 100) == pytest.approx((low, high), abs=5e-4)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({}, "100 calls a second"),
        ({"capacity_per_s": 7.25}, "7.25 calls a second"),
        ({"workers": 4}, "100 calls a second, 4 workers that share what they learn"),
        ({"workers": 4, "is_shared": False}, "100 calls a second, 4 workers that share nothing"),
        (
            {"is_crashing": True, "unseen_ratio": 0.1},
            "100 calls a second, nodes crash, others call",
        ),
        ({"schedule": [{"at_s": 9, "unseen_ratio": 0.1}]}, "100 calls a second, others call"),
        (
            {"schedule": [{"at_s": 9, "capacity_ratio": 0.25}]},
            "100 calls a second, capacity falls to 25%",
        ),
        (
            {"schedule": [{"at_s": 9, "latency_factor": 2}]},
            "100 calls a second, answers slow down",
        ),
    ],
)
def test_a_world_is_told_by_what_is_hard_about_it(
    tool: Import, keys: dict[str, Any], said: str
) -> None:
    assert tool("drain").what(world(**keys)) == said


def test_worlds_that_ours_lost_come_first_then_where_it_is_slowest(tool: Import) -> None:
    took_s = {("surgetank", "small"): None, ("surgetank+breaker", "crash"): 300.0}
    found = facts(tool, took_s)
    assert first_cells(found["slowest"]) == ["`small`", "`crash`", "`easy`"]
    assert "5 workers that share nothing | lost | 1.1" in found["slowest"]
    assert found["lost"] == "1 bare, 0 with the breaker"


@pytest.mark.parametrize(("lost", "listed"), [(0, 10), (11, 11)])
def test_more_worlds_are_listed_where_more_are_lost(tool: Import, lost: int, listed: int) -> None:
    worlds = {f"w-{number}": world() for number in range(12)}
    took_s = {("surgetank", f"w-{number}"): None for number in range(lost)}
    assert len(first_cells(facts(tool, took_s, worlds)["slowest"])) == listed


def test_kinds_that_no_world_is_of_are_left_out(tool: Import) -> None:
    assert first_cells(facts(tool, {})["kinds"]) == [
        "below 20 calls a second",
        "100 and more",
        "one caller, or workers that share what they learn",
        "workers that share nothing",
        "nodes crash",
        "nodes crash, and others call",
    ]


def test_the_best_peer_drains_most_and_of_equal_ones_is_the_fastest(tool: Import) -> None:
    slow = {(law, name): 120.0 for law in law_names() for name in WORLDS}
    fast = {("pi+breaker", name): 115.0 for name in WORLDS}
    assert facts(tool, slow | fast)["best.law"] == "`pi+breaker`"
    assert facts(tool, slow | fast | {("pi+breaker", "easy"): None})["best.law"] != "`pi+breaker`"


def test_ablations_stand_between_the_whole_law_and_the_one_without_a_breaker(tool: Import) -> None:
    said = first_cells(facts(tool, {})["ablations"])
    assert said == ["the law as it is", *(one.title for one in ABLATED.values()), "no breaker"]


def test_an_ablation_is_told_by_its_own_runs(tool: Import) -> None:
    lost = {("surgetank-double+breaker", name): None for name in WORLDS}
    (row,) = [line for line in facts(tool, lost)["ablations"].split("\n") if "doubles" in line]
    assert row == (
        "| a ramp that doubles | `surgetank-double+breaker` | 0% | 4.000 | 4.000 | 4.000 | 100% |"
    )

"""A bench from end to end, with the compiled world: the same law, world and seed play the same run.

All of it stands in one file, so that the world is compiled once.
"""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from surgetank.app.cli.entry import main
from surgetank.control.signal import Mode
from surgetank.rehearsal.drain.bench import (
    Task,
    given_cases,
    law_names,
    play_task,
    play_timeline,
    tasks,
)
from surgetank.rehearsal.drain.document import Document
from surgetank.rehearsal.drain.world import World, optimum_s

WORLD = """
title = "plain"
capacity_per_s = 100
fresh_ratio = 0.3
backlog = 7_000
timeout_s = 2
latency_s = 0.04
queue_max = 300
"""

Make = Callable[..., World]
QUICK = {"surgetank", "sdk-backoff", "botocore", "sre"}
"""Laws that are compiled in every run; compiling all takes a minute, and is for the slow one."""
EACH_LAW = [
    pytest.param(name, marks=[] if name.split("+")[0] in QUICK else [pytest.mark.slow])
    for name in law_names()
]


def task(world: World, *, law: str = "surgetank", seed: int = 1, limit: int = 10**6) -> Task:
    return Task(law, "plain", world, seed, limit)


@pytest.mark.no_cover  # it compiles the world, half as fast if traced; others play the same
def test_a_run_repeats_itself(world: Make) -> None:
    assert play_task(task(world())) == play_task(task(world()))


def test_another_seed_is_another_run(world: Make) -> None:
    assert play_task(task(world())) != play_task(task(world(), seed=3))


def test_a_plain_world_is_drained_in_little_more_than_the_optimum(world: Make) -> None:
    run = play_task(task(world()))
    assert run.drained_s is not None
    assert 0.95 < run.drained_s / optimum_s(world()) < 1.5
    assert run.fresh_success > 0.99


def test_a_run_ends_when_its_calls_are_spent(world: Make) -> None:
    run = play_task(task(world(), limit=1_000))
    assert run.drained_s is None
    assert 1_000 <= run.requests <= 1_500


@pytest.mark.parametrize("law", ["surgetank", "surgetank-double+breaker"])
def test_a_timeline_has_a_line_for_each_second_and_names_of_modes(world: Make, law: str) -> None:
    timeline = play_timeline(task(world(), law=law))
    drained_s = timeline.run.drained_s or 0.0
    assert drained_s <= len(timeline.seconds) <= drained_s + 30
    assert sum(one.backlog_ok for one in timeline.seconds) == pytest.approx(7_000, abs=100)
    assert {round(one.mode) for one in timeline.seconds} <= timeline.modes.keys()
    assert timeline.modes[Mode.CRUISE.value] == "cruise"


def test_every_law_is_there_bare_and_wrapped() -> None:
    laws = (
        "surgetank", "sdk-backoff", "doubling", "steps", "doubling-gated", "aimd", "vegas",
        "gradient2", "failsafe", "bbr", "botocore", "sre", "pi",
    )  # fmt: skip
    assert law_names() == [name + end for name in laws for end in ("", "+breaker")]


@pytest.mark.parametrize("workers", [{}, {"workers": 3, "is_shared": False}], ids=["one", "three"])
@pytest.mark.parametrize("law", EACH_LAW)
def test_a_law_plays_to_the_end(world: Make, law: str, workers: dict[str, object]) -> None:
    tiny = world(backlog=400, **workers)
    (case,) = given_cases({"plain": tiny}, seed=1, seeds=1, requests_max=None)
    timeline = play_timeline(tasks([law], [case])[0])
    run, horizon_s = timeline.run, 4 * optimum_s(tiny)
    done = sum(one.backlog_ok for one in timeline.seconds)
    assert done <= 400
    if run.drained_s is not None:
        assert done == 400
        assert run.drained_s <= horizon_s
    else:  # Its time is up, or its calls are spent.
        assert len(timeline.seconds) >= horizon_s or run.requests > case.requests_max
    assert 0 <= run.fresh_success <= 1


def test_the_command_writes_its_result_and_its_drawing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "plain.toml").write_text(WORLD)
    out, drawn = tmp_path / "out.json", tmp_path / "out.svg"
    words = ["--laws", "surgetank,surgetank+breaker", "--seeds", "2", "--jobs", "1"]
    places = ["--worlds", str(tmp_path), "--json", str(out), "--plot", str(drawn)]
    assert main(["bench", "drain", *words, *places]) == 0
    found = Document.model_validate_json(out.read_text())
    assert list(found.laws) == ["surgetank", "surgetank+breaker"]
    assert list(found.laws["surgetank"].worlds["plain"].seeds) == ["1", "3"]
    assert "surgetank in plain" in drawn.read_text()
    assert capsys.readouterr().out.startswith(
        "Draining a backlog · virtual clock · 1 world · 4 runs\n"
    )


def test_the_command_gives_programs_json_alone(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--random", "1", "--seed", "7", "--laws", "surgetank", "--jobs", "1"]
    assert main(["bench", "drain", *words, "--requests-max", "2000", "--json", "-"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found["worlds"]) == ["random-7"]
    assert found["laws"]["surgetank"]["worlds"]["random-7"]["ratio"] == 4


def test_another_setting_of_ours_is_another_run(world: Make) -> None:
    changed = play_task(task(world(), law="surgetank-double"))
    assert changed.drained_s != play_task(task(world())).drained_s


def test_ours_with_one_part_changed_is_played_when_it_is_named(
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["--random", "1", "--seed", "7", "--laws", "surgetank-double+breaker", "--jobs", "1"]
    assert main(["bench", "drain", *words, "--requests-max", "2000", "--json", "-"]) == 0
    assert list(json.loads(capsys.readouterr().out)["laws"]) == ["surgetank-double+breaker"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("surgetank-no-prob", "did you mean 'surgetank-no-probe'?"),
        ("zzz", "there are surgetank, "),
        ("zzz", ", surgetank-no-probe, "),
    ],
)
def test_a_change_of_ours_that_is_not_there_is_bad_input(
    capsys: pytest.CaptureFixture[str], name: str, said: str
) -> None:
    assert main(["bench", "drain", "--laws", name]) == 2
    assert said in capsys.readouterr().err


def test_a_law_that_is_not_there_is_bad_input(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "drain", "--laws", "surgetnk"]) == 2
    assert "--laws: no law 'surgetnk'; did you mean 'surgetank'?" in capsys.readouterr().err

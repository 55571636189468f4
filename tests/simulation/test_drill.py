"""The drill of azure-2026-02 with the real services: what must hold of single runs.

A failing seed replays with `surgetank drill azure-2026-02 --variant V --seed S`.
The claims over twenty seeds are in `test_azure_2026_02.py`.
"""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from surgetank.app.wiring import quiet_logs
from surgetank.rehearsal.drill.ledger import Fate
from surgetank.rehearsal.drill.output import terminal
from surgetank.rehearsal.drill.play import Run, play
from surgetank.rehearsal.drill.result import build_result
from surgetank.rehearsal.drill.session import drill
from surgetank.rehearsal.drill.study.sensitivity_file import add_shipped
from surgetank.rehearsal.scenario.reader import load
from surgetank.rehearsal.scenario.schema import Scenario

SCENARIO = load("azure-2026-02")
REQUESTS_MAX = 80_000
README = Path(__file__).parents[2] / "README.md"
VARIANTS = ["nobody", "you-1pct", "issuer-admission", "everybody-governor", "everybody-all"]


def played(scenario: Scenario, variants: Sequence[str]) -> dict[str, Run]:
    """Whole runs with seed 1, in processes without the tracer of coverage: it triples their time.

    Short runs of the same code are traced elsewhere.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COVERAGE_PROCESS_CONFIG", "")
        runs = drill(
            scenario,
            variants=variants,
            seeds=[1],
            jobs=2,
            on_run=lambda _: None,
            prepare=quiet_logs,
        )
    return {run.variant: run for run in runs}


@pytest.fixture(scope="module")
def runs() -> dict[str, Run]:
    return played(SCENARIO, VARIANTS)


def without(*titles: str) -> Scenario:
    """The scenario without the entries of these titles."""
    known = {entry.title for entry in SCENARIO.timeline}
    assert known >= set(titles)
    entries = tuple(entry for entry in SCENARIO.timeline if entry.title not in titles)
    return SCENARIO.model_copy(update={"timeline": entries})


def number(run: Run, metric: str) -> float:
    value = run.metrics[metric]
    assert isinstance(value, (int, float)), f"{metric} is {value!r}"
    return value


@pytest.mark.parametrize("variant", VARIANTS)
def test_nothing_is_lost_done_twice_or_left_out_of_the_count(
    variant: str, runs: dict[str, Run]
) -> None:
    run = runs[variant]
    assert number(run, "operations_lost") == 0
    assert number(run, "operations_duplicated") == 0
    assert number(run, "operations_unknown") == 0
    counted = sum(number(run, f"operations_{fate}") for fate in Fate)
    assert counted == number(run, "operations_submitted")


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_replica_stays_small(variant: str, runs: dict[str, Run]) -> None:
    assert 10_000 < number(runs[variant], "requests_handled") <= REQUESTS_MAX


@pytest.mark.parametrize("variant", VARIANTS)
def test_europe_is_free_of_the_identity_outage(variant: str, runs: dict[str, Run]) -> None:
    found = runs[variant].outages.identity
    assert (found["westeurope"], found["swedencentral"]) == ([], [])


def test_the_second_outage_arises_after_the_repair_and_ends_when_traffic_is_taken_off(
    runs: dict[str, Run],
) -> None:
    run = runs["nobody"]
    repaired = {"eastus": "East US repaired", "westus": "West US repaired"}
    acted = {(title, region): at for at, title, region in run.acted}
    for region, title in repaired.items():
        (outage,) = run.outages.identity[region]
        assert outage.start_at > acted[title, region]
        assert outage.start_at < acted["identity scaled out", region] < outage.end_at
        assert outage.is_over, "by the end of the drill"
        assert outage.end_at > acted["traffic off, ramp", region]


def test_without_the_operators_the_outage_does_not_end() -> None:
    run = played(without("traffic off, ramp"), ["nobody"])["nobody"]
    for region in ("eastus", "westus"):
        assert [outage.is_over for outage in run.outages.identity[region]] == [False]


def test_without_the_policy_nothing_happens() -> None:
    run = played(without("policy blocks reads"), ["nobody"])["nobody"]
    assert run.outages.provisioning == []
    assert not any(run.outages.identity.values())
    assert number(run, "fresh_success_ratio") >= 0.999


def test_you_save_yourself_and_not_the_cloud(runs: dict[str, Run]) -> None:
    nobody, you = runs["nobody"], runs["you-1pct"]
    for metric in ("own_fresh_success_ratio", "own_token_success_ratio"):
        assert number(you, metric) > number(nobody, metric)
    assert number(you, "own_provisioning_outage_s") < number(nobody, "own_provisioning_outage_s")
    for region in ("eastus", "westus"):
        (with_you,) = you.outages.identity[region]
        (without,) = nobody.outages.identity[region]
        assert abs(with_you.end_at - without.end_at) < 1800
        assert abs(with_you.start_at - without.start_at) < 1800


def test_admission_at_the_door_shortens_the_outage(runs: dict[str, Run]) -> None:
    def longest(variant: str) -> float:
        value = runs[variant].metrics["identity_outage_s"]
        assert isinstance(value, dict)
        return max(value.values())

    assert longest("issuer-admission") < 0.5 * longest("nobody")


def test_a_governor_lets_the_backlog_go_without_a_second_outage(runs: dict[str, Run]) -> None:
    run = runs["everybody-governor"]
    assert not any(run.outages.identity.values())
    assert number(run, "backlog_peak") > 100
    assert run.metrics["drain_s"] is not None


def test_the_verdict_of_one_seed_is_met(runs: dict[str, Run]) -> None:
    result = build_result(SCENARIO, list(runs.values()))
    assert [one["text"] for one in result["expectations"] if not one["met"]] == []
    assert result["verdict"] == "met"


def test_the_readme_shows_what_the_drill_prints(runs: dict[str, Run]) -> None:
    block = re.search(
        r"```console\n\$ surgetank drill (.*?) \| tail -n (\d+)\n(.*?)```",
        README.read_text(),
        re.DOTALL,
    )
    assert block is not None, "the README lost its transcript"
    name, *options = shlex.split(block[1])
    pairs = list(zip(options[::2], options[1::2], strict=True))
    assert (name, pairs[0]) == ("azure-2026-02", ("--seed", "1"))
    assert {option for option, _ in pairs[1:]} == {"--variant"}
    chosen = [runs[variant] for _, variant in pairs[1:]]
    result = build_result(SCENARIO, chosen)
    add_shipped(result, SCENARIO)
    printed = terminal.render(SCENARIO, result, runs=chosen).plain
    assert "\n".join(printed.splitlines()[-int(block[2]) :]) + "\n" == block[3]


SHORT = SCENARIO.model_copy(update={"end": SCENARIO.start + timedelta(minutes=45)})
PROGRAM = """
import sys
from datetime import timedelta
from pathlib import Path
from surgetank.app.wiring import quiet_logs
from surgetank.rehearsal.drill.output import terminal
from surgetank.rehearsal.drill.play import play
from surgetank.rehearsal.scenario.reader import load
quiet_logs()
scenario = load("azure-2026-02")
short = scenario.model_copy(update={"end": scenario.start + timedelta(minutes=45)})
print(play(short, sys.argv[1], seed=1, scheduling=sys.argv[2]).trace_hash)
"""


def hash_elsewhere(variant: str, scheduling: str) -> str:
    """The hash of a run in a process of its own, with a hash seed of its own."""
    ended = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", PROGRAM, variant, scheduling],
        env={**os.environ, "PYTHONHASHSEED": "random", "COVERAGE_PROCESS_CONFIG": ""},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return ended.stdout


@pytest.mark.parametrize("scheduling", ["fifo", "shuffled"])
@pytest.mark.parametrize("variant", ["nobody", "everybody-all"])
def test_a_seed_gives_one_drill_in_every_process(variant: str, scheduling: str) -> None:
    assert len({hash_elsewhere(variant, scheduling) for _ in range(2)}) == 1


def test_another_seed_gives_another_drill() -> None:
    hashes = {play(SHORT, "nobody", seed=seed).trace_hash for seed in (1, 2, 3)}
    assert len(hashes) == 3

"""Twenty minutes of the incident that ships, played once: reads are blocked, and no token fails."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest

from surgetank.app.wiring import quiet_logs
from surgetank.rehearsal.drill.metrics import Outages
from surgetank.rehearsal.drill.outage import Outage
from surgetank.rehearsal.drill.play import Run, play
from surgetank.rehearsal.drill.result import build_result
from surgetank.rehearsal.scenario.reader import load
from surgetank.rehearsal.scenario.schema import Expectation, Scenario

HOSTILE = "<b>]]>&\"'|`*_[x](y)#$~\\\r\n\x00\x1b[2J\ud800\u202e1. -"
VARIANTS = ("nobody", "you-1pct", "everybody-all")
SHORT_M = 20


def short(*, minutes: int = SHORT_M) -> Scenario:
    full = load("azure-2026-02")
    return full.model_copy(update={"end": full.start + timedelta(minutes=minutes)})


@pytest.fixture
def hostile() -> str:
    """What no form may be broken by."""
    return HOSTILE


@pytest.fixture
def ten_minutes() -> Scenario:
    return short(minutes=10)


@pytest.fixture(scope="session")
def played() -> tuple[Scenario, tuple[Run, ...]]:
    """Two seeds of three variants."""
    quiet_logs()
    scenario = short()
    return scenario, tuple(play(scenario, name, seed=seed) for name in VARIANTS for seed in (1, 2))


@pytest.fixture
def scenario(played: tuple[Scenario, tuple[Run, ...]]) -> Scenario:
    return played[0]


@pytest.fixture
def runs(played: tuple[Scenario, tuple[Run, ...]]) -> list[Run]:
    return list(played[1])


@pytest.fixture
def result(scenario: Scenario, runs: list[Run]) -> dict[str, Any]:
    return build_result(scenario, runs)


@pytest.fixture
def expecting(scenario: Scenario) -> Callable[..., Scenario]:
    """Give the scenario expectations of one's own."""

    def make(*wanted: dict[str, object]) -> Scenario:
        expect = tuple(
            Expectation.model_validate({"variant": "nobody", "over": "max", **one})
            for one in wanted
        )
        return scenario.model_copy(update={"expect": expect})

    return make


@pytest.fixture
def hostile_drill(scenario: Scenario, runs: list[Run]) -> tuple[Scenario, list[Run]]:
    """The drill, with every word of its file hostile, and one expectation that is not met."""
    renamed = {name: f"{HOSTILE}{name}" for name in scenario.variants}
    worded = scenario.model_copy(
        update={
            "title": HOSTILE,
            "variants": {
                renamed[name]: one.model_copy(update={"title": HOSTILE})
                for name, one in scenario.variants.items()
            },
            "timeline": tuple(
                one.model_copy(
                    update={
                        "title": HOSTILE,
                        "assumed": HOSTILE if one.assumed else None,
                        "source": HOSTILE if one.source else None,
                        "when": HOSTILE if one.when else None,
                        "only": (),
                        "never": (),
                    }
                )
                for one in scenario.timeline
            ),
            "figures": {
                f"{HOSTILE}{name}": one.model_copy(
                    update={"assumed": HOSTILE if one.assumed else None}
                )
                for name, one in scenario.figures.items()
            },
            "published": tuple(
                one.model_copy(update={"name": f"{HOSTILE}{one.name}", "source": HOSTILE})
                for one in scenario.published
            ),
            "expect": (
                Expectation(
                    variant=renamed["nobody"],
                    metric="operations_submitted",
                    over="max",
                    at_most=0,
                ),
            ),
        }
    )
    acted = [(worded.start.timestamp() + 60.0, HOSTILE, HOSTILE)]
    return worded, [one._replace(variant=renamed[one.variant], acted=acted) for one in runs]


@pytest.fixture
def with_outage(scenario: Scenario) -> Callable[[Run, Sequence[float]], Run]:
    """Give a run an outage of East US's tokens, in minutes after the start."""
    start_at = scenario.start.timestamp()

    def change(run: Run, minutes: Sequence[float], *, is_over: bool = True) -> Run:
        first, last = (start_at + 60.0 * minute for minute in minutes)
        identity = {**run.outages.identity, "eastus": [Outage(first, last, is_over=is_over)]}
        by_region = {**dict.fromkeys(identity, 0.0), "eastus": last - first}
        return run._replace(
            outages=Outages(run.outages.provisioning, identity),
            metrics={**run.metrics, "identity_outage_s": by_region},
        )

    return change

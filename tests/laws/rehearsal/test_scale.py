"""A replica of another size: rates and nodes change, what a node feels does not."""

import pytest

from surgetank.cloud.station import StationPolicy
from surgetank.core.errors import InvalidInputError
from surgetank.rehearsal.scenario.fleet import busiest_tokens_per_s
from surgetank.rehearsal.scenario.reader import load
from surgetank.rehearsal.scenario.scale import rescaled
from surgetank.rehearsal.scenario.schema import Scenario

SCENARIO = load("azure-2026-02")


def occupied_s(scenario: Scenario) -> float:
    """Seconds that one token occupies a warm node of East US."""
    region = scenario.cloud.regions["eastus"]
    rate_per_s = scenario.cloud.identity.headroom * busiest_tokens_per_s(scenario, region)
    return StationPolicy(nodes=scenario.cloud.identity.nodes, rate_per_s=rate_per_s).occupied_s


@pytest.mark.parametrize("ratio", [0.25, 0.5, 2.0])
def test_a_node_serves_as_fast_in_a_replica_of_any_size(ratio: float) -> None:
    assert occupied_s(rescaled(SCENARIO, ratio)) == pytest.approx(occupied_s(SCENARIO))


@pytest.mark.parametrize(("ratio", "scale"), [(0.5, "1:2000"), (2.0, "1:500"), (1.0, "1:1000")])
def test_the_scale_says_the_new_size(ratio: float, scale: str) -> None:
    assert rescaled(SCENARIO, ratio).scale == scale


def test_every_fleet_is_as_much_smaller() -> None:
    pairs = zip(rescaled(SCENARIO, 0.5).fleet, SCENARIO.fleet, strict=True)
    assert {round(half.peak_per_s / whole.peak_per_s, 9) for half, whole in pairs} == {0.5}


@pytest.mark.parametrize("ratio", [0.0, -1.0, 0.3, float("nan")])
def test_a_station_keeps_whole_nodes(ratio: float) -> None:
    with pytest.raises(InvalidInputError, match="nodes"):
        rescaled(SCENARIO, ratio)

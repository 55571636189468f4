"""The same scenario as a larger or smaller replica: rates and nodes change, ratios are kept."""

from surgetank.core.errors import InvalidInputError
from surgetank.rehearsal.scenario.schema import (
    Fleet,
    IdentityStation,
    NodePools,
    Readers,
    RunnerPools,
    Scenario,
)


def rescaled(scenario: Scenario, ratio: float) -> Scenario:
    """Give `scenario` with `ratio` times its load, and stations of as many times their nodes.

    A node keeps its speed and the seconds of its queue, so that what it feels stays the same; the
    replica's `scale` says the new size.

    Raises:
        InvalidInputError: `ratio` is not above 0, or would leave a station without a whole node.
    """
    identity = scenario.cloud.identity
    nodes = float(identity.nodes * ratio)
    if not ratio > 0 or not nodes.is_integer():
        raise InvalidInputError(f"cannot make {ratio:g} times {identity.nodes} nodes")
    station = IdentityStation.model_validate(identity.model_dump() | {"nodes": int(nodes)})
    return scenario.model_copy(
        update={
            "scale": f"1:{round(scenario.divisor / ratio)}",
            "cloud": scenario.cloud.model_copy(update={"identity": station}),
            "fleet": tuple(_rescaled(one, ratio) for one in scenario.fleet),
        }
    )


def _rescaled(fleet: Fleet, ratio: float) -> Fleet:
    changes: dict[str, float] = {"peak_per_s": fleet.peak_per_s * ratio}
    match fleet:
        case NodePools() | RunnerPools():
            changes["pools"] = max(1, round(fleet.pools * ratio))
        case Readers():
            changes["nodes"] = max(1, round(fleet.nodes * ratio))
        case _:
            pass
    return fleet.model_copy(update=changes)

"""What a region's token service can bear, by the figures of a scenario."""

from dataclasses import fields

from surgetank.cloud.station import StationPolicy
from surgetank.rehearsal.scenario.fleet import busiest_tokens_per_s
from surgetank.rehearsal.scenario.schema import Region, Scenario


def identity_policy(scenario: Scenario, region: Region) -> StationPolicy:
    """Size and physics of the station behind the tokens of `region`."""
    physics = scenario.cloud.identity
    named = physics.model_dump(include={one.name for one in fields(StationPolicy)})
    rate_per_s = physics.headroom * busiest_tokens_per_s(scenario, region)
    return StationPolicy(rate_per_s=rate_per_s, **named)

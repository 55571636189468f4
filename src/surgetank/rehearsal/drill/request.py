"""What one operation asks of the control plane, step by step: the same for every orchestrator."""

import json
from collections.abc import Mapping
from typing import NamedTuple

from surgetank.core.value import Dependency, dependency
from surgetank.rehearsal.scenario.schema import Making

_GROUP = "/subscriptions/00000000/resourceGroups/drill/providers/Microsoft.Compute"
_KINDS = ("virtualMachines", "virtualMachineScaleSets")
"""One machine, or more."""


class StepRequest(NamedTuple):
    """One step: a PUT, and the dependency that decides on it."""

    name: str
    dependency: Dependency
    url: str
    body: str
    """JSON text."""


def steps_of(
    fleet: Making,
    name: str,
    *,
    machines: int,
    region: str,
    host: str,
    manifest_url: str,
    version: str,
) -> tuple[StepRequest, ...]:
    """Create machines, install an extension on each, then let each fetch its tokens."""
    url = f"http://{host}{_GROUP}/{_KINDS[machines > 1]}/{name}"
    body = {"location": region, "sku": {"capacity": machines}}
    resources = [f"resource-{number}" for number in range(fleet.tokens)]
    install = {"manifest": manifest_url, "version": version}
    return (
        _step("create", "compute", region, url, body),
        _extension("install", "artifacts", region, url, install),
        _extension("enroll", "identity", region, url, {"resources": resources}),
    )


def _extension(
    name: str, service: str, region: str, url: str, settings: Mapping[str, object]
) -> StepRequest:
    body = {"properties": {"type": name, "settings": settings}}
    return _step(name, service, region, f"{url}/extensions/{name}", body)


def _step(
    name: str, service: str, region: str, url: str, body: Mapping[str, object]
) -> StepRequest:
    return StepRequest(name, dependency(service, region), url, json.dumps(body))

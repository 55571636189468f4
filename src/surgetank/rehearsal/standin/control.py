"""The control endpoint: says what is going on, lets faults strike and operators act.

| request             | body                     | does                                              |
|---------------------|--------------------------|---------------------------------------------------|
| GET /healthz        |                          | 200 while the process serves                      |
| GET /readyz         |                          | 200 while everything serves, else 503             |
| GET /state          |                          | access of the accounts, queue, counts             |
| POST /faults/policy | {"accounts": [...]}      | the remediation job disables public access        |
| POST /acts/repair   | {"accounts": [...]}      | the operators let the public read again           |
| POST /acts/traffic  | {"open_ratio": 0 to 1}   | the share of calls that the token service lets in |
| POST /acts/scale    | {"nodes": 1 and more}    | cold nodes are added to the token service         |

Without `accounts` all of them are meant; names that do not exist are passed over, as the job does.
Errors are problem documents (RFC 9457).
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from http import HTTPStatus
from json import dumps
from types import MappingProxyType
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from surgetank.cloud.remediation import RemediationJob, restore
from surgetank.cloud.station import NODES_MAX
from surgetank.core.errors import InvalidInputError
from surgetank.core.http import Request, Response
from surgetank.core.ports import Clock
from surgetank.rehearsal.standin.door import Door
from surgetank.rehearsal.standin.region import CloudRegion
from surgetank.safeguards.broker.service import TokenBroker
from surgetank.safeguards.mirror.service import Mirror

NAMES_MAX = 1_000
"""Accounts on one list."""
_READ = ("/healthz", "/readyz", "/state")


class Phase(StrEnum):
    """Where the stand-in is in its life."""

    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"


@dataclass(frozen=True, slots=True)
class Town:
    """All that is served, once it is."""

    scenario: str
    clock: Clock
    region: CloudRegion
    mirror: Mirror
    broker: TokenBroker
    doors: Mapping[str, Door]
    """Of each service but this one, by its name."""


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class _Accounts(_Body):
    accounts: Annotated[list[str], Field(max_length=NAMES_MAX)] | None = None


class _Traffic(_Body):
    open_ratio: Annotated[float, Field(ge=0, le=1)]


class _Scale(_Body):
    nodes: Annotated[int, Field(ge=1, le=NODES_MAX)]


B = TypeVar("B", bound=_Body)
Act = Callable[[Town, Request], Awaitable[dict[str, object]]]


@dataclass(slots=True)
class Control:
    """Answers the control endpoint, from before the first service starts to after the last ends."""

    phase: Phase = Phase.STARTING
    town: Town | None = None

    async def handle(self, request: Request) -> Response:
        """Answer one request; the endpoint's `Handler`."""
        act = _ACTS.get(request.path)
        refusal = _refuse(request, is_act=act is not None)
        if refusal is not None:
            return refusal
        if request.path == "/healthz":
            return _answer(200, {"status": "alive"})
        if request.path == "/readyz":
            return _answer(200 if self.phase is Phase.READY else 503, {"status": self.phase})
        if self.town is None:
            return _problem(503, "still starting", {"retry-after": "1"})
        if act is None:
            return _answer(200, {"phase": self.phase, **_state(self.town)})
        return await _carry_out(act, self.town, request)


async def _strike(town: Town, request: Request) -> dict[str, object]:
    wanted = _read(_Accounts, request).accounts
    accounts = {one.name: one for one in town.region.accounts}
    targets = list(accounts) if wanted is None else wanted
    return {"changed": list(await RemediationJob(accounts, targets, 0.0, town.clock).run())}


async def _repair(town: Town, request: Request) -> dict[str, object]:
    wanted = _read(_Accounts, request).accounts
    chosen = [one for one in town.region.accounts if wanted is None or one.name in wanted]
    for account in chosen:
        restore(account)
    return {"changed": [one.name for one in chosen]}


async def _let_in(town: Town, request: Request) -> dict[str, object]:
    station = town.region.station
    station.open_ratio = _read(_Traffic, request).open_ratio
    return {"open_ratio": station.open_ratio}


async def _scale(town: Town, request: Request) -> dict[str, object]:
    station = town.region.station
    station.scale_out(_read(_Scale, request).nodes)
    return {"live_ratio": station.live_ratio()}


_ACTS: Mapping[str, Act] = MappingProxyType(
    {
        "/faults/policy": _strike,
        "/acts/repair": _repair,
        "/acts/traffic": _let_in,
        "/acts/scale": _scale,
    }
)


async def _carry_out(act: Act, town: Town, request: Request) -> Response:
    try:
        return _answer(200, await act(town, request))
    except InvalidInputError as error:
        return _problem(400, str(error))


def _state(town: Town) -> dict[str, object]:
    region, station = town.region, town.region.station
    return {
        "scenario": town.scenario,
        "region": region.name,
        "accounts": {
            one.name: {
                "access": one.access._asdict(),
                "requests": one.requests,
                "refused": one.refused,
            }
            for one in region.accounts
        },
        "identity": {
            "issued": region.identity.issued,
            "open_ratio": station.open_ratio,
            "queue_s": station.queue_s(),
            "live_ratio": station.live_ratio(),
            **asdict(station.counts),
        },
        "agents": asdict(region.agents),
        "mirror": {
            "copies": len(town.mirror.entries()),
            "bytes_held": town.mirror.bytes_held,
            **asdict(town.mirror.counts),
        },
        "broker": {"keys": len(town.broker.held()), **asdict(town.broker.counts)},
        "in_flight": {name: door.in_flight for name, door in town.doors.items()},
    }


def _refuse(request: Request, *, is_act: bool) -> Response | None:
    """Turn away what the table above has no row for."""
    if not is_act and request.path not in _READ:
        return _problem(404, f"no such path: {request.path}")
    allowed = ("POST",) if is_act else ("GET", "HEAD")
    if request.method in allowed:
        return None
    detail = f"{request.path} takes {' and '.join(allowed)}, not {request.method}"
    return _problem(405, detail, {"allow": ", ".join(allowed)})


def _read(model: type[B], request: Request) -> B:
    """Read a body; none at all is an empty object.

    Raises:
        InvalidInputError: It is not JSON, or not what is wanted.
    """
    try:
        return model.model_validate_json(request.body or b"{}")
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the body"
        raise InvalidInputError(f"{where}: {first['msg']}") from None


def _answer(status: int, document: Mapping[str, object]) -> Response:
    return Response(status, {"content-type": "application/json"}, dumps(document).encode())


def _problem(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    document = {"title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    head = {"content-type": "application/problem+json", **(headers or {})}
    return Response(status, head, dumps(document).encode())

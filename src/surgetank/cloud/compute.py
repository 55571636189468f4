"""Compute of one region: machines, scale sets and their extensions, answering as ARM does.

A PUT of a machine allocates it at once. A PUT of an extension starts a long-running operation:
the machine's agent installs it and reports, and only then is the operation over. A failed one is
HTTP 200 with `"status": "Failed"` and nested error codes. A poll with `Prefer: wait=N` (RFC 7240)
is held until the operation ends: a replica need not poll where nothing changes.

Left out: reading resources back, deleting them, scaling in (a smaller capacity changes nothing),
and ARM's token buckets.
Source: Azure REST API guidelines, "Long-running operations"; error codes of Microsoft.Compute.
"""

import asyncio
import json
import re
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

from surgetank.core.errors import InvalidInputError
from surgetank.core.http import Request, Response
from surgetank.core.ports import Clock

INSTANCES_MAX = 1_000
"""Machines of one scale set. Source: Azure's limit for platform images."""
WAIT_S_MAX = 3_600.0
"""Longest that a poll is held."""
_IDLE_POLL_S = 30.0
"""Seconds between polls of a client that is told nothing. Source: azure-core's ARM polling."""
_WAIT = re.compile(r'(?:^|[,;\s])wait\s*=\s*"?([0-9]{1,9})', re.IGNORECASE)
_SUCCEEDED = b'{"status": "Succeeded"}'


class Agent(Protocol):
    """What runs on a machine and does what its goal state says."""

    async def apply(self, settings: dict[str, Any]) -> str | None:
        """Install one extension; None when it is in place, else the error code."""
        ...


@dataclass(slots=True)
class _Machine:
    name: str
    agent: Agent
    ready_at: float
    extensions: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    """Settings in place, by extension."""
    busy: asyncio.Lock = field(default_factory=asyncio.Lock)
    """An agent does one thing at a time."""


@dataclass(slots=True)
class _Group:
    """A machine by itself, or those of a scale set."""

    machines: list[_Machine] = field(default_factory=list[_Machine])
    extensions: set[str] = field(default_factory=set[str])
    """All that were ever asked for."""


@dataclass(slots=True)
class _LongRun:
    is_over: asyncio.Event = field(default_factory=asyncio.Event)
    body: bytes | None = None
    """What a poll is answered; None while it is under way."""


@dataclass(slots=True, kw_only=True)
class Compute:
    """The control plane of one region."""

    region: str
    clock: Clock
    boot_s: float
    """Seconds from allocation until a machine's agent runs."""
    start_agent: Callable[[str], Agent]
    """Called once for each machine, with its name: that of its group, `-` and its number."""
    machines_max: int = 25_000
    """Machines of the region. Source: Azure's limit for one subscription."""
    extensions_max: int = 32
    """Different extensions of one machine or scale set. Assumed: more than any fleet has."""
    operations_max: int = 10_000
    """Operations under way, and again as many that are over and still known: one that ended
    longer ago is forgotten (404), as ARM does in time. Assumed; a client polls within the hour."""
    effects: Counter[str] = field(default_factory=Counter[str])
    """How often each extension came into place on each machine, or was asked for again when it was
    in place on all of its group; counted anew when its settings change. Above 1 is a duplicate."""
    idle_polls: int = 0
    """Polls that were spared by waiting: what a client without `Prefer` would have made."""
    _groups: dict[str, _Group] = field(default_factory=dict[str, _Group])
    _machines: int = 0
    _runs: dict[str, _LongRun] = field(default_factory=dict[str, _LongRun])
    _ended: deque[str] = field(default_factory=deque[str])
    """Numbers of the operations that are over, in the order in which they ended."""
    _started: int = 0
    _tasks: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])

    @property
    def host(self) -> str:
        """Where it is reached in virtual time."""
        return f"management.{self.region}"

    async def handle(self, request: Request) -> Response:
        """Answer one call of the control plane."""
        parts = request.path.strip("/").split("/")
        match request.method, parts:
            case "PUT", [*_, ("virtualMachines" | "virtualMachineScaleSets"), name]:
                return self._put_machines(request, "/".join(parts), name)
            case "PUT", [*_, "virtualMachines" | "virtualMachineScaleSets", _, "extensions", name]:
                return self._put_extension(request, "/".join(parts[:-2]), name)
            case "GET", ["operations", number]:
                return await self._poll(number, request.headers.get("prefer", ""))
            case _:
                return _error(404, "ResourceNotFound", f"No such resource: {request.path}")

    async def close(self) -> None:
        """Break off the operations under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _put_machines(self, request: Request, group_id: str, name: str) -> Response:
        try:
            count = _capacity(_json(request.body))
        except InvalidInputError as error:
            return _error(400, "InvalidRequestContent", str(error))
        if not 1 <= count <= INSTANCES_MAX:
            return _error(400, "InvalidParameter", f"capacity must be 1 to {INSTANCES_MAX}")
        group = self._groups.get(group_id)
        is_new = group is None
        group = group or _Group()
        first = len(group.machines)
        missing = max(0, count - first)
        if self._machines + missing > self.machines_max:
            return _error(409, "QuotaExceeded", f"{self.machines_max} machines at most")
        self._groups[group_id] = group
        self._machines += missing
        ready_at = self.clock.now() + self.boot_s
        for number in range(first, first + missing):
            machine = f"{name}-{number}"
            group.machines.append(_Machine(machine, self.start_agent(machine), ready_at))
        state = {"name": name, "properties": {"provisioningState": "Succeeded"}}
        return _answer(201 if is_new else 200, state)

    def _put_extension(self, request: Request, group_id: str, extension: str) -> Response:
        group = self._groups.get(group_id)
        if group is None:
            return _error(404, "ParentResourceNotFound", f"No such machine: {group_id}")
        try:
            settings = _settings(_json(request.body))
        except InvalidInputError as error:
            return _error(400, "InvalidRequestContent", str(error))
        if len(group.extensions | {extension}) > self.extensions_max:
            return _error(400, "InvalidParameter", f"{self.extensions_max} extensions at most")
        if len(self._runs) - len(self._ended) >= self.operations_max:
            return _throttled()
        group.extensions.add(extension)
        number = str(self._started)
        self._started += 1
        run = self._runs[number] = _LongRun()
        work = self._run(number, run, tuple(group.machines), extension, settings)
        task = asyncio.get_running_loop().create_task(work, name=f"{group_id}/{extension}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        url = f"{request.scheme}://{request.host}/operations/{number}?api-version=2024-07-01"
        state = {"name": extension, "properties": {"provisioningState": "Creating"}}
        return _answer(201, state, {"azure-asyncoperation": url})

    async def _run(
        self,
        number: str,
        run: _LongRun,
        machines: tuple[_Machine, ...],
        extension: str,
        settings: dict[str, Any],
    ) -> None:
        """Do the work of one operation; it ends even when an agent fails in a way of its own."""
        codes: list[str | None] = ["InternalExecutionError"]
        try:
            await self.clock.sleep_until(max(machine.ready_at for machine in machines))
            lacking = [one for one in machines if one.extensions.get(extension) != settings]
            if not lacking:
                self.effects.update(f"{machine.name}/{extension}" for machine in machines)
            codes = await asyncio.gather(
                *(self._apply(machine, extension, settings) for machine in lacking)
            )
        finally:
            failed = [code for code in codes if code is not None]
            run.body = _failed(extension, failed) if failed else _SUCCEEDED
            run.is_over.set()
            self._ended.append(number)
            if len(self._ended) > self.operations_max:
                del self._runs[self._ended.popleft()]

    async def _apply(
        self, machine: _Machine, extension: str, settings: dict[str, Any]
    ) -> str | None:
        """Let the agent install, unless another operation did so while it was busy."""
        async with machine.busy:
            present = machine.extensions.get(extension)
            if present == settings:
                return None
            code = await machine.agent.apply(settings)
            if code is None:
                machine.extensions[extension] = settings
                effect = f"{machine.name}/{extension}"
                self.effects[effect] = 1 if present is not None else self.effects[effect] + 1
            return code

    async def _poll(self, number: str, prefer: str) -> Response:
        run = self._runs.get(number)
        if run is None:
            return _error(404, "OperationNotFound", f"No such operation: {number}")
        wait_s = _wait_s(prefer)
        if run.body is None and wait_s > 0:
            asked_at = self.clock.now()
            try:
                async with asyncio.timeout(wait_s):
                    await run.is_over.wait()
            except TimeoutError:
                pass  # Answered as still in progress, as ARM answers at once.
            self.idle_polls += int((self.clock.now() - asked_at) / _IDLE_POLL_S)
        if run.body is None:
            return _answer(200, {"status": "InProgress"}, {"retry-after": str(int(_IDLE_POLL_S))})
        return Response(200, {"content-type": "application/json"}, run.body)


def _wait_s(prefer: str) -> float:
    """Seconds that a poll asks to be held, among whatever else it prefers; 0 for not at all."""
    found = _WAIT.search(prefer)
    return 0.0 if found is None else min(float(found[1]), WAIT_S_MAX)


def _json(body: bytes) -> dict[str, Any]:
    """Read a request's body; none at all is an empty object."""
    try:
        value: object = json.loads(body or b"{}")
    except (ValueError, RecursionError) as error:
        raise InvalidInputError("The body is not JSON") from error
    return _object(value, "The body")


def _object(value: object, name: str) -> dict[str, Any]:
    """A JSON object; one that is null or left out is empty."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidInputError(f"{name} must be an object")
    return cast("dict[str, Any]", value)


def _capacity(body: dict[str, Any]) -> int:
    count: object = _object(body.get("sku"), "sku").get("capacity", 1)
    if not isinstance(count, int) or isinstance(count, bool):
        raise InvalidInputError("sku.capacity must be a whole number")
    return count


def _settings(body: dict[str, Any]) -> dict[str, Any]:
    properties = _object(body.get("properties"), "properties")
    return _object(properties.get("settings"), "properties.settings")


def _failed(extension: str, codes: list[str]) -> bytes:
    details = [{"code": code, "message": f"{extension}: {code}"} for code in sorted(set(codes))]
    message = f"{len(codes)} machines could not install {extension}."
    error = {"code": "VMExtensionProvisioningError", "message": message, "details": details}
    return json.dumps({"status": "Failed", "error": error}).encode()


def _throttled() -> Response:
    detail = {"code": "TooManyRequests", "message": "Too many operations are under way"}
    error = {"code": "OperationNotAllowed", "message": detail["message"], "details": [detail]}
    return _answer(429, {"error": error}, {"retry-after": str(int(_IDLE_POLL_S))})


def _answer(status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> Response:
    head = {"content-type": "application/json", **(headers or {})}
    return Response(status, head, json.dumps(body).encode())


def _error(status: int, code: str, message: str) -> Response:
    return _answer(status, {"error": {"code": code, "message": message}})

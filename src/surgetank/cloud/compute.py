"""Compute of one region: machines, scale sets and their extensions, answering as ARM does.

A PUT of a machine allocates it at once. A PUT of an extension starts a long-running operation:
the machine's agent installs it and reports, and only then is the operation over. A failed one is
HTTP 200 with `"status": "Failed"` and nested error codes. A poll with `Prefer: wait=N` (RFC 7240)
is held until the operation ends: a replica need not poll where nothing changes.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from surgetank.core.http import Request, Response
from surgetank.core.ports import Clock

MACHINES = "virtualMachines"
SCALE_SETS = "virtualMachineScaleSets"
INSTANCES_MAX = 1_000
"""Machines of one scale set. Source: Azure's limit for platform images."""
WAIT_S_MAX = 3_600.0
_IDLE_POLL_S = 30.0
"""Seconds between polls of a client that is told nothing. Source: azure-core's ARM polling."""


class Agent(Protocol):
    """What runs on a machine and does what its goal state says."""

    async def apply(self, settings: dict[str, Any]) -> str | None:
        """Install one extension; None when it is in place, else the error code."""
        ...


@dataclass(slots=True)
class _Machine:
    agent: Agent
    ready_at: float
    extensions: set[str] = field(default_factory=set[str])


class _Ended(NamedTuple):
    body: bytes


@dataclass(slots=True)
class _LongRun:
    is_over: asyncio.Event = field(default_factory=asyncio.Event)
    ended: _Ended | None = None


@dataclass(slots=True, kw_only=True)
class Compute:
    """The control plane of one region."""

    region: str
    clock: Clock
    boot_s: float
    """Seconds from allocation until a machine's agent runs."""
    start_agent: Callable[[str], Agent]
    """Called once for each machine, with its name."""
    effects: Counter[str] = field(default_factory=Counter[str])
    """How often each extension came into place on each machine; above 1 is a duplicate."""
    idle_polls: int = 0
    """Polls that were spared by waiting: what a client without `Prefer` would have made."""
    _groups: dict[str, list[_Machine]] = field(default_factory=dict[str, list[_Machine]])
    _runs: dict[str, _LongRun] = field(default_factory=dict[str, _LongRun])
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
                return self._put_machines(name, _json(request.body))
            case "PUT", [*_, name, "extensions", extension]:
                return self._put_extension(name, extension, _json(request.body))
            case "GET", ["operations", number]:
                return await self._poll(number, request.headers.get("prefer", ""))
            case _:
                return _error(404, "ResourceNotFound", f"No such resource: {request.path}")

    def _put_machines(self, name: str, body: dict[str, Any]) -> Response:
        count = int(body.get("sku", {}).get("capacity", 1))
        if not 1 <= count <= INSTANCES_MAX:
            return _error(400, "InvalidParameter", f"capacity must be 1 to {INSTANCES_MAX}")
        is_new = name not in self._groups
        machines = self._groups.setdefault(name, [])
        ready_at = self.clock.now() + self.boot_s
        for index in range(len(machines), count):
            machines.append(_Machine(self.start_agent(f"{name}-{index}"), ready_at))
        state = {"name": name, "properties": {"provisioningState": "Succeeded"}}
        return _answer(201 if is_new else 200, state)

    def _put_extension(self, name: str, extension: str, body: dict[str, Any]) -> Response:
        machines = self._groups.get(name)
        if machines is None:
            return _error(404, "ParentResourceNotFound", f"No such machine: {name}")
        number = str(len(self._runs))
        run = self._runs[number] = _LongRun()
        settings = body.get("properties", {}).get("settings", {})
        work = self._install(run, name, machines, extension, settings)
        task = asyncio.get_running_loop().create_task(work, name=f"{name}/{extension}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        url = f"http://{self.host}/operations/{number}?api-version=2024-07-01"
        state = {"name": extension, "properties": {"provisioningState": "Creating"}}
        return _answer(201, state, {"azure-asyncoperation": url})

    async def _install(
        self,
        run: _LongRun,
        name: str,
        machines: list[_Machine],
        extension: str,
        settings: dict[str, Any],
    ) -> None:
        await self.clock.sleep_until(max(machine.ready_at for machine in machines))
        waiting = [machine for machine in machines if extension not in machine.extensions]
        codes = await asyncio.gather(*(machine.agent.apply(settings) for machine in waiting))
        for machine, code in zip(waiting, codes, strict=True):
            if code is None:
                machine.extensions.add(extension)
                self.effects[f"{name}-{machines.index(machine)}/{extension}"] += 1
        failed = [code for code in codes if code is not None]
        run.ended = _Ended(_failed(extension, failed) if failed else _SUCCEEDED)
        run.is_over.set()

    async def _poll(self, number: str, prefer: str) -> Response:
        run = self._runs.get(number)
        if run is None:
            return _error(404, "OperationNotFound", f"No such operation: {number}")
        wait_s = _wait_s(prefer)
        if run.ended is None and wait_s > 0:
            asked_at = self.clock.now()
            try:
                async with asyncio.timeout(wait_s):
                    await run.is_over.wait()
            except TimeoutError:
                pass  # Answered as still in progress, as ARM answers at once.
            self.idle_polls += int((self.clock.now() - asked_at) / _IDLE_POLL_S)
        if run.ended is None:
            return _answer(200, {"status": "InProgress"}, {"retry-after": str(int(_IDLE_POLL_S))})
        return Response(200, {"content-type": "application/json"}, run.ended.body)


_SUCCEEDED = b'{"status": "Succeeded"}'


def _failed(extension: str, codes: list[str]) -> bytes:
    details = [{"code": code, "message": f"{extension}: {code}"} for code in sorted(set(codes))]
    message = f"{len(codes)} machines could not install {extension}."
    error = {"code": "VMExtensionProvisioningError", "message": message, "details": details}
    return json.dumps({"status": "Failed", "error": error}).encode()


def _wait_s(prefer: str) -> float:
    _, _, text = prefer.partition("wait=")
    return min(float(text), WAIT_S_MAX) if text.isdigit() else 0.0


def _json(body: bytes) -> dict[str, Any]:
    value = json.loads(body or b"{}")
    return value if isinstance(value, dict) else {}


def _answer(
    status: int, body: dict[str, Any], headers: dict[str, str] | None = None
) -> Response:
    head = {"content-type": "application/json", **(headers or {})}
    return Response(status, head, json.dumps(body).encode())


def _error(status: int, code: str, message: str) -> Response:
    return _answer(status, {"error": {"code": code, "message": message}})

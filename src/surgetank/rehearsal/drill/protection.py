"""The safeguards of one variant: who is covered, and the real services that cover them."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from surgetank.control.backoff import BackoffPolicy
from surgetank.core.http import Timeouts
from surgetank.core.operation import OperationId, OperationState
from surgetank.core.ports import Clock
from surgetank.core.value import dependency
from surgetank.rehearsal.drill.ledger import WAITS, Ledger, Wanted
from surgetank.rehearsal.drill.orchestrator import WAIT_S
from surgetank.rehearsal.drill.release_law import governor_policy
from surgetank.rehearsal.drill.world import IMDS, RegionWorld, World
from surgetank.rehearsal.scenario.schema import ReleaseName, Scenario, Variant
from surgetank.runtime.assembly import Ports, Running, start_broker, start_mirror, start_operations
from surgetank.runtime.simulation.blocking import InlineBlocking
from surgetank.runtime.simulation.chance import stream
from surgetank.runtime.simulation.network import Network
from surgetank.safeguards.broker.policy import BrokerPolicy
from surgetank.safeguards.mirror.policy import MirrorPolicy, extension_rules
from surgetank.safeguards.operations.action import Action, ActionResult, StepCall
from surgetank.safeguards.operations.http_action import HttpAction, HttpActionPolicy
from surgetank.safeguards.operations.permits import GovernedPermits, OpenPermits
from surgetank.safeguards.operations.policy import OperationsPolicy
from surgetank.safeguards.operations.record import Record
from surgetank.safeguards.operations.service import Operations

CONNECTIONS_MAX = 10_000
"""Of an orchestrator to the control plane: polls are held open."""
STEP_S_MAX = 4 * 3600.0
"""Longest step: a machine whose six tokens are each tried six times against time-outs."""


@dataclass(frozen=True, slots=True)
class CountedAction:
    """The real action, with its calls entered in the ledger."""

    action: Action
    ledger: Ledger
    wanted: Mapping[OperationId, Wanted]
    """What the operations were wanted for."""
    _seen: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])

    async def __call__(self, call: StepCall, /) -> ActionResult:
        """Make the call."""
        step = (call.operation_id, call.step_name)
        wanted = self.wanted[call.operation_id]
        self.ledger.call(wanted, call.step_name, is_first=step not in self._seen)
        self._seen.add(step)
        result = await self.action(call)
        outcome = result.outcome
        self.ledger.answer(wanted, call.step_name, outcome.kind.value, outcome.detail)
        return result


@dataclass(slots=True)
class Protection:
    """The safeguards that a variant puts on its share of the fleet."""

    scenario: Scenario
    variant: Variant
    network: Network
    clock: Clock
    ledger: Ledger
    seed: int
    directory: Path
    """For stores and copies; removed after the run."""
    running: Running = field(default_factory=Running)
    covered: set[str] = field(default_factory=set[str])
    """Names of the operations and nodes under the safeguards."""
    operations: dict[str, Operations] = field(default_factory=dict[str, Operations])
    wanted: dict[OperationId, Wanted] = field(default_factory=dict[OperationId, Wanted])
    """What the durable operations were wanted for."""
    ended: dict[OperationId, asyncio.Future[bool]] = field(
        default_factory=dict[OperationId, "asyncio.Future[bool]"]
    )
    """Told when a durable operation ends; whether it succeeded."""
    permits: dict[str, GovernedPermits] = field(default_factory=dict[str, GovernedPermits])
    _mirrored: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    """Hosts that a region's mirror stands for."""
    _brokers: set[str] = field(default_factory=set[str])

    async def open(self, world: World) -> None:
        """Start what serves a whole region."""
        for here in world.regions.values():
            if self.variant.mirror_warm_ratio is not None:
                await self._open_mirror(here, self.variant.mirror_warm_ratio)
            if self.variant.release is not None:
                await self._open_operations(here, self.variant.release)

    def names_of(self, region: str, machine: str) -> Mapping[str, str]:
        """Names that a machine resolves to a safeguard; a node's broker starts with it, cold."""
        if machine not in self.covered and machine.rpartition("-")[0] not in self.covered:
            return {}
        names: dict[str, str] = {}
        if self.variant.mirror_warm_ratio is not None:
            names |= dict.fromkeys(self._mirrored[region], f"mirror.{region}")
        if self.variant.broker:
            names[IMDS] = self._broker(region, machine)
        return names

    def _ports(self, name: str) -> Ports:
        return Ports(self.clock, stream(self.seed, name), InlineBlocking())

    def _broker(self, region: str, machine: str) -> str:
        host = f"broker.{machine}.{region}"
        if host in self._brokers:
            return host
        self._brokers.add(host)
        broker = start_broker(
            self.running,
            self._ports(host),
            http=self.network.client(f"vm.{region}", names={IMDS: f"identity.{region}"}),
            permits=OpenPermits(clock=self.clock),
            policy=BrokerPolicy(
                dependency=dependency("identity", region),
                answer_s=self.scenario.cloud.client_timeout_s / 2,
                fetch_s=self.scenario.cloud.client_timeout_s,
            ),
        )
        self.network.serve(host, broker.handle)
        return host

    async def _open_mirror(self, here: RegionWorld, warm_ratio: float) -> None:
        artifacts = dependency("artifacts", here.name)
        hosts = self._mirrored[here.name] = [one.host for one in here.accounts]
        rules = extension_rules(hosts, artifacts)
        name = f"mirror.{here.name}"
        mirror = await start_mirror(
            self.running,
            self._ports(name),
            directory=self.directory / name,
            http=self.network.client(name),
            permits=OpenPermits(clock=self.clock),
            policy=MirrorPolicy(rules=rules),
        )
        warm = round(len(here.manifests) * warm_ratio)
        await mirror.prefetch([*here.manifests[:warm], *here.packages[:warm]])
        self.network.serve(name, mirror.handle)

    async def _open_operations(self, here: RegionWorld, release: ReleaseName) -> None:
        name = f"orchestrator.{here.name}"
        client = self.network.client(name, connections_max=CONNECTIONS_MAX)
        timeouts = Timeouts(connect_s=10.0, read_s=30.0, pool_s=60.0)
        http = HttpAction(
            client=client,
            clock=self.clock,
            policy=HttpActionPolicy(timeouts=timeouts, wait_s=WAIT_S, poll_s_max=STEP_S_MAX),
        )
        permits = GovernedPermits(
            default=governor_policy(self.scenario, release, lost_s=STEP_S_MAX),
            clock=self.clock,
            chance=stream(self.seed, f"governor {name}"),
        )
        self.permits[here.name] = permits
        self.operations[here.name] = await start_operations(
            self.running,
            self._ports(name),
            file=str(self.directory / f"{name}.sqlite"),
            permits=permits,
            actions={"http": CountedAction(http, self.ledger, self.wanted)},
            watch=self._let_go,
            policy=OPERATIONS,
            worker=name,
        )

    def _let_go(self, record: Record) -> None:
        """Enter that a worker put an operation down, and until when; ends are entered at the end."""
        if record.finished_at is not None:
            ended = self.ended.pop(record.id, None)
            if ended is not None:
                ended.set_result(record.state is OperationState.SUCCEEDED)
        else:
            lane = f"in the {record.lane} lane"
            why = next((one.detail for one in record.progress if one.detail), "for leave to call")
            self.ledger.moment(self.wanted[record.id], "", WAITS, f"{lane}: {why}", record.run_at)


OPERATIONS = OperationsPolicy(
    tries_max=1_000,
    in_flight_max=1_000,
    lease_s=3600.0,
    step_s_max=STEP_S_MAX,
    scan_s=3600.0,
    retry=BackoffPolicy(base_s=30.0, cap_s=1800.0),
)
"""One worker for each region and owners who want their machines for hours: the deadline ends an
operation, not a number of tries."""

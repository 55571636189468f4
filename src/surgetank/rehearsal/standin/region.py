"""One region of the stand-in cloud: the services that a drill plays, with its scenario's figures.

Capacity is that of the scenario's replica, so that a few clients are a crowd.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from surgetank.cloud.agent import MachineAgent
from surgetank.cloud.blob import Account
from surgetank.cloud.client import ArtifactClient, TokenClient, TokenTry
from surgetank.cloud.compute import Compute
from surgetank.cloud.extension import Published, publish
from surgetank.cloud.identity import Identity
from surgetank.cloud.station import Station
from surgetank.core.errors import InvalidInputError
from surgetank.core.http import Timeouts
from surgetank.core.ports import HttpClient
from surgetank.rehearsal.scenario.capacity import identity_policy
from surgetank.rehearsal.scenario.schema import Scenario
from surgetank.runtime.assembly import Ports

MACHINES_MAX = 1_000
"""Machines at a desk; more are refused as over quota."""
OPERATIONS_MAX = 1_000
"""Operations of the control plane under way, and again as many that are over and still known."""


@dataclass(slots=True)
class AgentCounts:
    """What the machines' agents did."""

    machines: int = 0
    """Machines that were made."""
    token_tries: int = 0
    """Requests for a token, tries again included."""
    token_failures: int = 0
    """Those of them that brought none."""


@dataclass(slots=True)
class CloudRegion:
    """The services of one region, not served yet."""

    name: str
    accounts: Sequence[Account]
    extensions: Sequence[Published]
    """What is in the accounts."""
    identity: Identity
    timeouts: Timeouts
    """How long the region's clients wait."""
    boot_s: float
    """Seconds from a machine's allocation until its agent runs."""
    token_gap_s: float
    """Mean seconds between the tokens that one new machine asks for."""
    agents: AgentCounts = field(default_factory=AgentCounts)

    @property
    def station(self) -> Station:
        """What bears the load of the token service."""
        return self.identity.station

    def compute(self, ports: Ports, *, machine: HttpClient, host: HttpClient) -> Compute:
        """Build the control plane.

        Args:
            ports: Time and chance.
            machine: The way of every machine's programs to artifacts and tokens.
            host: The way of the machines' hosts to artifacts.
        """

        def watch(one: TokenTry) -> None:
            self.agents.token_tries += 1
            self.agents.token_failures += not one.is_ok

        def start_agent(_: str) -> MachineAgent:
            self.agents.machines += 1
            clock, timeouts = ports.clock, self.timeouts
            artifacts = ArtifactClient(direct=machine, plugin=host, clock=clock, timeouts=timeouts)
            tokens = TokenClient(http=machine, clock=clock, timeouts=timeouts, watch=watch)
            return MachineAgent(artifacts, tokens, clock, ports.chance, self.token_gap_s)

        return Compute(
            region=self.name,
            clock=ports.clock,
            boot_s=self.boot_s,
            start_agent=start_agent,
            machines_max=MACHINES_MAX,
            operations_max=OPERATIONS_MAX,
        )


def build_region(
    scenario: Scenario,
    name: str,
    ports: Ports,
    *,
    boot_s: float | None = None,
    token_gap_s: float | None = None,
) -> CloudRegion:
    """Build region `name` of `scenario`, with every extension published.

    Args:
        scenario: Whose figures count.
        name: One of its regions.
        ports: Time and chance.
        boot_s: Seconds from a machine's allocation until its agent runs; None for the scenario's.
        token_gap_s: Mean seconds between the tokens of a new machine; None for the scenario's.

    Raises:
        InvalidInputError: The scenario has no such region.
    """
    cloud = scenario.cloud
    region = cloud.regions.get(name)
    if region is None:
        known = ", ".join(cloud.regions)
        raise InvalidInputError(f"{scenario.name} has no region {name!r}; it has: {known}")
    accounts = [Account(f"artifacts{number}{name}") for number in range(cloud.accounts)]
    station = Station(identity_policy(scenario, region), ports.clock, ports.chance)
    wait_s = cloud.client_timeout_s
    return CloudRegion(
        name=name,
        accounts=accounts,
        extensions=publish(accounts, cloud.extensions, at=ports.clock.now()),
        identity=Identity(name, station, ports.clock, cloud.token_life_s),
        timeouts=Timeouts(connect_s=wait_s, read_s=wait_s, pool_s=wait_s),
        boot_s=cloud.boot_s if boot_s is None else boot_s,
        token_gap_s=cloud.token_gap_s if token_gap_s is None else token_gap_s,
    )

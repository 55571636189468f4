"""The stand-in cloud of one run: every region's services, on the in-memory network.

Who may reach what by which name is decided here: a machine finds its region's token service, or
its own broker, at 169.254.169.254, and an artifacts' host is the account itself, or a mirror. Who
reads with a credential of its own goes to the account by its own path, past any mirror.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from random import Random

from surgetank.cloud.agent import MachineAgent
from surgetank.cloud.blob import Account
from surgetank.cloud.client import (
    ArtifactClient,
    Credential,
    IdentityToken,
    SharedSignature,
    TokenClient,
)
from surgetank.cloud.compute import Compute
from surgetank.cloud.extension import publish
from surgetank.cloud.identity import WORK_HEADER, Identity
from surgetank.cloud.station import Station
from surgetank.control.admission import Admission, RateLimit
from surgetank.core.http import Response, Timeouts
from surgetank.core.policy import Path
from surgetank.core.ports import Clock
from surgetank.rehearsal.drill.ledger import Ledger
from surgetank.rehearsal.scenario.capacity import identity_policy
from surgetank.rehearsal.scenario.schema import (
    ANONYMOUS,
    Region,
    Scenario,
    Variant,
)
from surgetank.runtime.simulation.chance import stream
from surgetank.runtime.simulation.network import Network

IMDS = "169.254.169.254"
Names = Mapping[str, str]
_PATHS = {"private_endpoint": Path.PRIVATE_ENDPOINT, "service_endpoint": Path.SERVICE_ENDPOINT}
"""Ways of reading that have a network path of their own."""
NEW_MACHINES = "new machines"
"""The consumer of tokens that are none of a fleet of readers."""
_SIGNATURE = SharedSignature("sv=2024-11-04&sp=r&sig=stand-in")


@dataclass(slots=True)
class RegionWorld:
    """One region's services."""

    name: str
    accounts: list[Account]
    """Where its artifacts are."""
    station: Station
    identity: Identity
    compute: Compute
    manifests: list[str]
    """URLs of the extensions' manifests."""
    packages: list[str]
    """URLs of their packages, in the same order."""

    @property
    def reads(self) -> int:
        """Reads of artifacts that reached the storage."""
        return sum(one.requests for one in self.accounts)

    @property
    def reads_refused(self) -> int:
        """Those of them that were refused."""
        return sum(one.refused for one in self.accounts)


@dataclass(slots=True)
class World:
    """All regions, and the network between them."""

    scenario: Scenario
    network: Network
    clock: Clock
    ledger: Ledger
    seed: int
    variant: Variant
    names_of: Callable[[str, str], Names]
    """Names that a machine of (region, machine) resolves otherwise than the public network."""
    own: set[str] = field(default_factory=set[str])
    """Names of the operations that are yours."""
    ways: dict[str, str] = field(default_factory=dict[str, str])
    """How the machines of an operation read artifacts, by its name; as the public where not said."""
    regions: dict[str, RegionWorld] = field(default_factory=dict[str, RegionWorld])
    _chances: dict[str, Random] = field(default_factory=dict[str, Random])
    wasted_s: float = 0.0
    """Seconds of station work whose answer nobody waited for."""

    def __post_init__(self) -> None:
        self.network.on_abandoned = self._waste
        for name, region in self.scenario.cloud.regions.items():
            self._chances[name] = stream(self.seed, f"agents {name}")
            self.regions[name] = self._build(name, region)

    def timeouts(self) -> Timeouts:
        """How long the fleet's clients wait."""
        wait_s = self.scenario.cloud.client_timeout_s
        return Timeouts(connect_s=wait_s, read_s=wait_s, pool_s=wait_s)

    def token_client(
        self, region: str, machine: str, *, is_own: bool, consumer: str
    ) -> TokenClient:
        """A client on one machine or node that asks for tokens."""
        names = {IMDS: f"identity.{region}", **self.names_of(region, machine)}
        return TokenClient(
            http=self.network.client(f"vm.{region}", names=names),
            clock=self.clock,
            timeouts=self.timeouts(),
            watch=self.ledger.token_watch(region, is_own=is_own, consumer=consumer),
        )

    def _waste(self, response: Response) -> None:
        """Count the work behind an answer that nobody waited for."""
        self.wasted_s += float(response.headers.get(WORK_HEADER, "0"))

    def _build(self, name: str, region: Region) -> RegionWorld:
        cloud = self.scenario.cloud
        accounts = [Account(f"artifacts{number}{name}") for number in range(cloud.accounts)]
        published = publish(accounts, cloud.extensions)
        station = self._station(name, region)
        identity = Identity(name, station, self.clock, cloud.token_life_s)
        compute = Compute(
            region=name,
            clock=self.clock,
            boot_s=cloud.boot_s,
            start_agent=lambda machine: self._agent(name, machine),
        )
        for account in accounts:
            self.network.serve(account.host, account.handle)
            for way, path in _PATHS.items():
                self.network.serve(f"{way}.{account.host}", partial(account.handle, path=path))
        self.network.serve(f"identity.{name}", identity.handle)
        self.network.serve(compute.host, compute.handle)
        manifests = [one.manifest for one in published]
        packages = [one.package for one in published]
        return RegionWorld(name, accounts, station, identity, compute, manifests, packages)

    def _station(self, name: str, region: Region) -> Station:
        physics = self.scenario.cloud.identity
        policy = identity_policy(self.scenario, region)
        admission = Admission(wait_s_max=physics.admission_wait_s)
        rate_per_s = physics.burst_ratio * policy.rate_per_s
        limit = RateLimit(rate_per_s=rate_per_s, burst=max(1.0, physics.burst_s * rate_per_s))
        return Station(
            policy,
            self.clock,
            stream(self.seed, f"station identity.{name}"),
            admission if self.variant.admission else None,
            limit if self.variant.burst_limit else None,
        )

    def _agent(self, region: str, machine: str) -> MachineAgent:
        # A machine of a set is named after it: SET-INDEX.
        owner = machine.rpartition("-")[0]
        is_own = owner in self.own
        tokens = self.token_client(region, machine, is_own=is_own, consumer=NEW_MACHINES)
        way = self.ways.get(owner, ANONYMOUS)
        credential: Credential | None = None
        if way != ANONYMOUS:
            credential = IdentityToken(tokens) if way == "identity" else _SIGNATURE
        artifacts = ArtifactClient(
            direct=self.network.client(f"vm.{region}", names=self._reads_at(region, machine, way)),
            plugin=self.network.client(f"fabric.{region}"),
            clock=self.clock,
            timeouts=self.timeouts(),
            credential=credential,
        )
        return MachineAgent(
            artifacts, tokens, self.clock, self._chances[region], self.scenario.cloud.token_gap_s
        )

    def _reads_at(self, region: str, machine: str, way: str) -> Names:
        """Where a machine finds the accounts."""
        if way == ANONYMOUS:
            return self.names_of(region, machine)
        if way not in _PATHS:
            return {}
        return {one.host: f"{way}.{one.host}" for one in self.regions[region].accounts}

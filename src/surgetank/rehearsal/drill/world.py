"""The stand-in cloud of one run: every region's services, on the in-memory network.

Who may reach what by which name is decided here: a machine finds its region's token service, or
its own broker, at 169.254.169.254, and the artifacts' host is the account itself, or a mirror.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random

from surgetank.cloud.agent import MachineAgent
from surgetank.cloud.blob import Account
from surgetank.cloud.client import ArtifactClient, TokenClient, manifest
from surgetank.cloud.compute import Compute
from surgetank.cloud.identity import WORK_HEADER, Identity
from surgetank.cloud.station import Station, StationPolicy
from surgetank.control.admission import Admission
from surgetank.core.http import Response, Timeouts
from surgetank.core.ports import Clock
from surgetank.rehearsal.drill.ledger import Ledger
from surgetank.rehearsal.scenario.fleet import busiest_tokens_per_s
from surgetank.rehearsal.scenario.schema import IdentityStation, Region, Scenario
from surgetank.runtime.simulation.chance import stream
from surgetank.runtime.simulation.network import Network

VERSION = "1.0.0"
IMDS = "169.254.169.254"
Names = Mapping[str, str]


@dataclass(slots=True)
class RegionWorld:
    """One region's services."""

    name: str
    account: Account
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
        return self.account.requests

    @property
    def reads_refused(self) -> int:
        """Those of them that were refused."""
        return self.account.refused


@dataclass(slots=True)
class World:
    """All regions, and the network between them."""

    scenario: Scenario
    network: Network
    clock: Clock
    ledger: Ledger
    seed: int
    with_admission: bool
    names_of: Callable[[str, str], Names]
    """Names that a machine of (region, machine) resolves otherwise than the public network."""
    own: set[str] = field(default_factory=set[str])
    """Names of the operations that are yours."""
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

    def token_client(self, region: str, machine: str, *, is_own: bool) -> TokenClient:
        """A client on one machine or node that asks for tokens."""
        names = {IMDS: f"identity.{region}", **self.names_of(region, machine)}
        return TokenClient(
            http=self.network.client(f"vm.{region}", names=names),
            clock=self.clock,
            timeouts=self.timeouts(),
            watch=self.ledger.token_watch(region, is_own=is_own),
        )

    def _waste(self, response: Response) -> None:
        """Count the work behind an answer that nobody waited for."""
        self.wasted_s += float(response.headers.get(WORK_HEADER, "0"))

    def _build(self, name: str, region: Region) -> RegionWorld:
        cloud = self.scenario.cloud
        account = Account(f"artifacts{name}")
        manifests, packages = _fill(account, cloud.extensions)
        station = self._station(name, region, cloud.identity)
        identity = Identity(name, station, self.clock, cloud.token_life_s)
        compute = Compute(
            region=name,
            clock=self.clock,
            boot_s=cloud.boot_s,
            start_agent=lambda machine: self._agent(name, machine),
        )
        self.network.serve(account.host, account.handle)
        self.network.serve(f"identity.{name}", identity.handle)
        self.network.serve(compute.host, compute.handle)
        return RegionWorld(name, account, station, identity, compute, manifests, packages)

    def _station(self, name: str, region: Region, physics: IdentityStation) -> Station:
        busiest_per_s = busiest_tokens_per_s(self.scenario, region)
        fields = physics.model_dump(exclude={"headroom", "admission_wait_s"})
        policy = StationPolicy(rate_per_s=physics.headroom * busiest_per_s, **fields)
        admission = Admission(wait_s_max=physics.admission_wait_s) if self.with_admission else None
        chance = stream(self.seed, f"station identity.{name}")
        return Station(policy, self.clock, chance, admission)

    def _agent(self, region: str, machine: str) -> MachineAgent:
        artifacts = ArtifactClient(
            direct=self.network.client(f"vm.{region}", names=self.names_of(region, machine)),
            plugin=self.network.client(f"fabric.{region}"),
            clock=self.clock,
            timeouts=self.timeouts(),
        )
        # A machine of a set is named after it: SET-INDEX.
        owner = machine.rpartition("-")[0]
        tokens = self.token_client(region, machine, is_own=owner in self.own)
        return MachineAgent(
            artifacts, tokens, self.clock, self._chances[region], self.scenario.cloud.token_gap_s
        )


def _fill(account: Account, extensions: int) -> tuple[list[str], list[str]]:
    """Put a manifest and a package of each extension in place."""
    manifests: list[str] = []
    packages: list[str] = []
    for number in range(extensions):
        body = b"PK\x03\x04" + f"{account.name} extension {number} {VERSION}".encode()
        packages.append(account.put(f"/extension-{number}/{VERSION}.zip", body))
        listing = manifest({VERSION: packages[-1]})
        path = f"/extension-{number}/manifest.xml"
        manifests.append(account.put(path, listing, content_type="application/xml"))
    return manifests, packages

"""When a token is fetched anew, how long it is handed out, and how much a broker takes on."""

from dataclasses import dataclass, field

from surgetank.control.backoff import BackoffPolicy
from surgetank.core.errors import InvalidInputError
from surgetank.core.ports import Chance
from surgetank.core.value import Dependency


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerPolicy:
    """Everything an operator may set; raises `InvalidInputError` when out of range."""

    dependency: Dependency
    """Whose permits a fetch asks for, as `identity@eastus`."""
    upstream: str = "169.254.169.254"
    """Authority of the token service, read over http as the instance metadata service is."""
    api_version: str = "2018-02-01"
    """What we ask the token service for; clients may name any version."""
    answer_s: float = 5.0
    """Seconds that a client without a token waits for the first; above 0. SDKs block their caller
    for 24 s when they retry by themselves; five cover a slow issuer and free the caller early."""
    connect_s: float = 2.0
    """Seconds to wait for a connection to the token service, which is on this machine; above 0."""
    fetch_s: float = 15.0
    """Seconds for one whole fetch; above 0. More than `answer_s`: an answer that comes after its
    client has gone still serves the next."""
    refresh_ratio_min: float = 0.5
    """Share of a token's life after which it may be fetched anew; above 0. Half, as MSAL does."""
    refresh_ratio_max: float = 0.6
    """Share of a token's life by which the first try is made; from `refresh_ratio_min`, below 1.
    Brokers that got their tokens together are spread over the tenth of a life between the two,
    and the rest of the life is left to ride an outage out."""
    refresh_s_min: float = 60.0
    """Least seconds between a token and the try for the next, however short its life; above 0.
    Also the age below which a token is not dropped on a client's request."""
    margin_s: float = 30.0
    """Seconds of life below which a token is no longer handed out, as it might expire on its way;
    at least 0. MSAL itself takes less than 300 s for expired and fails; other clients do not, so
    we hand tokens out for longer than MSAL uses them."""
    urgent_s: float = 1_800.0
    """Seconds of life below which a refresh is asked for as fresh work instead of backlog; at least
    0. Until then a node can wait while an issuer recovers, and should."""
    life_s_max: float = 86_400.0
    """Longest life believed; above `margin_s`. Documented: tokens live up to 24 hours."""
    idle_s: float = 86_400.0
    """Seconds unasked after which a token is left to expire; above 0."""
    backoff: BackoffPolicy = field(default_factory=lambda: BackoffPolicy(base_s=2.0, cap_s=120.0))
    """Waits between failed fetches. From 2 s, as the documented guidance has it."""
    reject_s: float = 10.0
    """Seconds for which an answer that retrying cannot help (400, 403) is repeated to clients
    without asking again; above 0. Short: an identity may be assigned at any moment."""
    keys_max: int = 64
    """Pairs of identity and resource held; at least 1. A node has a few."""
    waiters_max: int = 1_000
    """Clients waiting at once; more get 503. At least 1."""
    query_bytes_max: int = 2_048
    """Longest query taken; at least 64."""
    answer_bytes_max: int = 64 << 10
    """Largest answer taken from the token service; at least 1,024. A token has some 2 KiB."""

    def __post_init__(self) -> None:
        for name in _ABOVE_ZERO:
            if not getattr(self, name) > 0:
                raise InvalidInputError(f"{name} must be above 0: {getattr(self, name)}")
        for name, least in _LEAST.items():
            if not getattr(self, name) >= least:
                raise InvalidInputError(f"{name} must be at least {least}: {getattr(self, name)}")
        if not self.refresh_ratio_min <= self.refresh_ratio_max < 1:
            raise InvalidInputError("refresh_ratio_max must be from refresh_ratio_min to below 1")
        if not self.life_s_max > self.margin_s:
            raise InvalidInputError("life_s_max must be above margin_s")
        if not self.upstream or "/" in self.upstream:
            raise InvalidInputError(f"upstream must be a host or host:port: {self.upstream!r}")


_ABOVE_ZERO = (
    "answer_s",
    "connect_s",
    "fetch_s",
    "refresh_ratio_min",
    "refresh_s_min",
    "idle_s",
    "reject_s",
)
_LEAST = {
    "margin_s": 0,
    "urgent_s": 0,
    "keys_max": 1,
    "waiters_max": 1,
    "query_bytes_max": 64,
    "answer_bytes_max": 1_024,
}


def refresh_at(
    policy: BrokerPolicy, *, issued_at: float, expires_at: float, chance: Chance
) -> float:
    """The instant of the first try to replace a token: early, and apart from the others.

    Args:
        policy: Between which shares of the life, and how soon at the soonest.
        issued_at: When the token came.
        expires_at: When it ends; after `issued_at`.
        chance: Drawn from once.
    """
    span = policy.refresh_ratio_max - policy.refresh_ratio_min
    ratio = policy.refresh_ratio_min + span * chance.random()
    return issued_at + max(policy.refresh_s_min, ratio * (expires_at - issued_at))

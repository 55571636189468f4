"""What an answer says about trying again.

A status alone is ambiguous: a 409 may be a policy or a race, and a failed long-running operation
of Azure answers 200. So error codes found in the body decide first, the innermost one we know
above those around it, and the status decides only when no code is known.

BLOCKED is for what stops everybody until somebody changes it; what is wrong with one caller's
credential or one request is PERMANENT, so that it opens no breaker.
Sources: Azure Storage "Common REST API error codes" and "Blob service error codes", Azure Resource
Manager "Common deployment errors", RFC 9110 section 15. Where we chose ourselves, a comment says so.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from surgetank.core.value import Outcome, OutcomeKind

RETRY_AFTER_S_MAX = 3_600.0
"""Longest wait we take from a dependency, in seconds; a typing error there must not park us here."""
DETAIL_LIMIT = 200
"""Characters of detail that an outcome keeps (`core.value.Outcome`)."""
CODES_LIMIT = 32
"""Nested error codes that are looked at, from the innermost outwards."""

_BLOCKED: tuple[str, ...] = (
    "PublicAccessNotPermitted",  # 409: the storage account allows no anonymous reads
    "NoAuthenticationInformation",  # 401: the same, as newer service versions say it
    "AuthorizationFailure",  # 403: a network rule or the account refuses
    "AccountIsDisabled",  # 403
    "KeyBasedAuthenticationNotPermitted",  # 403: the account allows no shared keys
    "RequestDisallowedByPolicy",  # 403: Azure Policy denies the request
    "RequestDisallowedByAzure",  # 403: a platform restriction on a region
    "ReadOnlyDisabledSubscription",  # 403 or 409: the subscription is disabled
    "ScopeLocked",  # 409: somebody locked the resource
    "AccessDenied",  # 403 of Amazon S3: the same wall elsewhere
)
_THROTTLED: tuple[str, ...] = (
    "TooManyRequests",
    "SubscriptionRequestsThrottled",
    "ResourceRequestsThrottled",
    "ServerBusy",  # 503 of storage: over its ingress, egress or request target
)
_TRANSIENT: tuple[str, ...] = (
    "InternalError",
    "InternalServerError",
    "InternalExecutionError",
    "OperationTimedOut",
    "ServerTimeout",
    "ServiceUnavailable",
    "GatewayTimeout",
    "RetryableError",
    "ManagedIdentityTokenError",  # inside an extension: identity failed, not the machine
    "VMExtensionProvisioningError",  # an envelope: a known cause inside it wins
    "VMExtensionProvisioningTimeout",
    "VMArtifactRepositoryInternalError",
    "VMAgentStatusCommunicationError",
    "AllocationFailed",  # no room now; room comes and goes
    "ZonalAllocationFailed",
)
_PERMANENT: tuple[str, ...] = (
    "AuthenticationFailed",  # 403: this caller's credential
    "AuthorizationFailed",  # 403 of Resource Manager: this caller's role
    "AuthorizationPermissionMismatch",  # 403 of storage: this caller's role
    "InvalidAuthenticationInfo",
    "VMExtensionHandlerNonTransientError",
    "OverconstrainedAllocationRequest",
    "SkuNotAvailable",
    "QuotaExceeded",
    "BlobNotFound",
    "ContainerNotFound",
    "ResourceNotFound",
    "invalid_request",  # 400 of the token service
)
_KINDS = (
    (_BLOCKED, OutcomeKind.BLOCKED),
    (_THROTTLED, OutcomeKind.THROTTLED),
    (_TRANSIENT, OutcomeKind.TRANSIENT),
    (_PERMANENT, OutcomeKind.PERMANENT),
)
CODE_KINDS: Mapping[str, OutcomeKind] = MappingProxyType(
    {code: kind for codes, kind in _KINDS for code in codes}
)
"""What each known error code means. Envelopes such as OperationNotAllowed are left out on purpose."""

STATUS_KINDS: Mapping[int, OutcomeKind] = MappingProxyType(
    {
        304: OutcomeKind.OK,
        # Our choice. SDKs give up on a 403, the VM agent repeats it 25 times. RFC 9110 15.5.4 says
        # not to repeat it with the same credential, yet a policy often stands behind it: to sleep
        # until somebody changes it loses no work, and to fail for good would.
        403: OutcomeKind.BLOCKED,
        408: OutcomeKind.TRANSIENT,
        410: OutcomeKind.TRANSIENT,  # of the token service: clears within 70 s, says its guidance
        425: OutcomeKind.TRANSIENT,  # RFC 8470, 5.2: not done for coming early, to be sent again
        429: OutcomeKind.THROTTLED,
        500: OutcomeKind.TRANSIENT,
        502: OutcomeKind.TRANSIENT,
        503: OutcomeKind.THROTTLED,
        504: OutcomeKind.TRANSIENT,
        507: OutcomeKind.TRANSIENT,
    }
)
"""What a status means when no code is known. 2xx is OK; all else is PERMANENT."""


class OutcomeTable(NamedTuple):
    """What whoever makes a call knows of its answers that we do not; decides before all of ours."""

    codes: Mapping[str, OutcomeKind] = MappingProxyType({})
    """By error code; the innermost that stands here wins."""
    statuses: Mapping[int, OutcomeKind] = MappingProxyType({})
    """By status, where no code stands in `codes`; not for a failed operation that answers 2xx."""


NO_TABLE = OutcomeTable()


def classify(
    *,
    status: int,
    codes: Sequence[str] = (),
    retry_after_s: float | None = None,
    now: float,
    table: OutcomeTable = NO_TABLE,
) -> Outcome:
    """Tell what became of a call from its answer.

    Args:
        status: Of the answer, from 100 to 599.
        codes: Error codes found in a body or header, outermost first; usually empty. A 2xx with
            codes is a failed long-running operation.
        retry_after_s: Seconds the answer asks us to wait, or None when it does not say.
        now: Seconds on the caller's clock.
        table: What the caller knows of this call.

    Returns:
        The outcome; its `retry_at` is set when the call may be tried again and `retry_after_s` was
        given, and lies at most `RETRY_AFTER_S_MAX` ahead.
    """
    code, kind = _known(codes, table.codes)
    is_failed_operation = bool(codes) and _is_success(status)
    if kind is None and not is_failed_operation:
        kind = table.statuses.get(status)
    if kind is None:
        code, kind = _ours(status, codes)
    if kind is OutcomeKind.OK:
        return Outcome(kind)
    retry_at = None
    if retry_after_s is not None and kind is not OutcomeKind.PERMANENT:
        retry_at = now + bounded_s(retry_after_s)
    detail = f"{status} {code or (codes[-1] if codes else '')}".rstrip()
    return Outcome(kind, detail[:DETAIL_LIMIT], retry_at)


def timed_out(*, waited_s: float) -> Outcome:
    """Outcome of a call whose answer did not come within `waited_s` seconds."""
    return Outcome(OutcomeKind.TIMEOUT, f"no answer in {waited_s:g} s")


def cut_off(*, reason: str) -> Outcome:
    """Outcome of a call whose connection was refused or cut; `reason` is for people."""
    return Outcome(OutcomeKind.TRANSIENT, reason[:DETAIL_LIMIT])


def parse_retry_after(text: str | None) -> float | None:
    """Read a Retry-After header given in seconds, bounded to `RETRY_AFTER_S_MAX`.

    Returns:
        Seconds, or None when absent or not a plain number. Dates are not read: Azure sends
        seconds, and a date would trust the other side's clock.
    """
    digits = "" if text is None else text.strip()
    if not (digits.isascii() and digits.isdigit()):
        return None
    return bounded_s(float(digits[:9]))


def bounded_s(wait_s: float) -> float:
    """`wait_s` brought into 0 to `RETRY_AFTER_S_MAX`; not-a-number becomes 0."""
    return min(wait_s, RETRY_AFTER_S_MAX) if wait_s > 0 else 0.0


def _ours(status: int, codes: Sequence[str]) -> tuple[str, OutcomeKind]:
    """What an answer means by the tables above, and the code that says so."""
    if not codes and _is_success(status):
        return "", OutcomeKind.OK
    code, kind = _known(codes, CODE_KINDS)
    if kind is not None:
        return code, kind
    # A failed operation answers 200: with codes of which none is known, it is PERMANENT.
    return "", STATUS_KINDS.get(status, OutcomeKind.PERMANENT)


def _known(
    codes: Sequence[str], kinds: Mapping[str, OutcomeKind]
) -> tuple[str, OutcomeKind | None]:
    for code in reversed(codes[-CODES_LIMIT:]):
        kind = kinds.get(code)
        if kind is not None:
            return code, kind
    return "", None


def _is_success(status: int) -> bool:
    return 200 <= status < 300  # noqa: PLR2004 - the success class of HTTP

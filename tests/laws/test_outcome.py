"""An answer's class says whether trying again can help."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surgetank.control.outcome import (
    CODE_KINDS,
    CODES_LIMIT,
    DETAIL_LIMIT,
    RETRY_AFTER_S_MAX,
    OutcomeTable,
    bounded_s,
    classify,
    cut_off,
    parse_retry_after,
    timed_out,
)
from surgetank.core.value import Outcome, OutcomeKind

OK, THROTTLED, BLOCKED, TRANSIENT, PERMANENT = (
    OutcomeKind.OK,
    OutcomeKind.THROTTLED,
    OutcomeKind.BLOCKED,
    OutcomeKind.TRANSIENT,
    OutcomeKind.PERMANENT,
)


@pytest.mark.parametrize(
    ("kind", "statuses"),
    [
        (OK, [200, 201, 202, 204, 206, 304]),
        (BLOCKED, [403]),
        (THROTTLED, [429, 503]),
        (TRANSIENT, [408, 410, 425, 500, 502, 504, 507]),
        (PERMANENT, [100, 301, 302, 307, 400, 401, 404, 409, 412, 416, 501, 505]),
    ],
)
def test_a_status_without_codes_means(kind: OutcomeKind, statuses: list[int]) -> None:
    kinds = {status: classify(status=status, now=0.0).kind for status in statuses}
    assert kinds == dict.fromkeys(statuses, kind)


@pytest.mark.parametrize(
    ("kind", "status", "codes"),
    [
        (BLOCKED, 409, ["PublicAccessNotPermitted"]),
        (BLOCKED, 403, ["AuthorizationFailure"]),
        (BLOCKED, 403, ["RequestDisallowedByPolicy"]),
        (BLOCKED, 403, ["AccountIsDisabled"]),
        (BLOCKED, 401, ["NoAuthenticationInformation"]),
        (BLOCKED, 200, ["VMExtensionProvisioningError", "PublicAccessNotPermitted"]),
        (BLOCKED, 200, ["VMExtensionProvisioningError", "PublicAccessNotPermitted", "Unheard"]),
        (TRANSIENT, 200, ["VMExtensionProvisioningError", "ManagedIdentityTokenError"]),
        (TRANSIENT, 200, ["ResourceOperationFailure", "VMExtensionProvisioningTimeout"]),
        (TRANSIENT, 409, ["AllocationFailed"]),
        (THROTTLED, 429, ["OperationNotAllowed", "TooManyRequests"]),
        (THROTTLED, 409, ["OperationNotAllowed", "TooManyRequests"]),
        (PERMANENT, 403, ["AuthorizationFailed"]),
        (PERMANENT, 200, ["VMExtensionProvisioningError", "VMExtensionHandlerNonTransientError"]),
        (PERMANENT, 200, ["Unheard"]),
        (PERMANENT, 409, ["OperationNotAllowed"]),
        (TRANSIENT, 500, ["Unheard"]),
    ],
)
def test_the_innermost_known_code_wins(kind: OutcomeKind, status: int, codes: list[str]) -> None:
    assert classify(status=status, codes=codes, now=0.0).kind is kind


@pytest.mark.parametrize(
    ("kind", "status", "codes"),
    [
        (OK, 404, []),
        (OK, 409, ["AlreadyExists"]),
        (BLOCKED, 409, ["AlreadyExists", "Frozen"]),
        (OK, 409, ["AlreadyExists", "PublicAccessNotPermitted"]),
        (OK, 404, ["ResourceNotFound"]),
        (THROTTLED, 202, []),
        (BLOCKED, 200, ["Frozen"]),
        (PERMANENT, 202, ["Unheard"]),
        (THROTTLED, 429, ["Unheard"]),
        (TRANSIENT, 500, []),
        (OK, 200, []),
    ],
)
def test_what_the_caller_knows_of_codes_then_of_statuses_decides_before_what_we_know(
    kind: OutcomeKind, status: int, codes: list[str]
) -> None:
    table = OutcomeTable({"AlreadyExists": OK, "Frozen": BLOCKED}, {404: OK, 202: THROTTLED})
    assert classify(status=status, codes=codes, now=0.0, table=table).kind is kind


def test_detail_names_the_code_that_the_caller_knows() -> None:
    table = OutcomeTable({"Frozen": BLOCKED})
    outcome = classify(status=409, codes=["Frozen", "TooManyRequests"], now=0.0, table=table)
    assert outcome.detail == "409 Frozen"


def test_only_the_innermost_codes_up_to_the_limit_are_looked_at() -> None:
    deep = ["PublicAccessNotPermitted"] + ["Unheard"] * CODES_LIMIT
    assert classify(status=500, codes=deep, now=0.0).kind is TRANSIENT
    assert classify(status=500, codes=deep[:-1], now=0.0).kind is BLOCKED


def test_no_code_is_of_two_kinds() -> None:
    assert set(CODE_KINDS.values()) == {BLOCKED, THROTTLED, TRANSIENT, PERMANENT}
    assert len(CODE_KINDS) == len({code.lower() for code in CODE_KINDS})


@pytest.mark.parametrize(
    ("detail", "status", "codes"),
    [
        ("409 PublicAccessNotPermitted", 409, ["PublicAccessNotPermitted"]),
        ("500 Unheard", 500, ["Unheard"]),
        ("503", 503, []),
        ("500 " + "x" * (DETAIL_LIMIT - 4), 500, ["x" * 999]),
    ],
)
def test_detail_names_status_and_cause(detail: str, status: int, codes: list[str]) -> None:
    assert classify(status=status, codes=codes, now=0.0).detail == detail


def test_a_retryable_answer_carries_when_to_come_back() -> None:
    assert classify(status=429, retry_after_s=7.0, now=100.0).retry_at == 107.0
    assert classify(status=503, retry_after_s=None, now=100.0).retry_at is None
    assert classify(status=404, retry_after_s=7.0, now=100.0).retry_at is None
    assert classify(status=304, retry_after_s=7.0, now=100.0) == Outcome(OK)


@pytest.mark.parametrize(
    ("text", "wait_s"),
    [
        (None, None),
        ("", None),
        ("Wed, 21 Oct 2026 07:28:00 GMT", None),
        ("-1", None),
        ("1.5", None),
        ("²", None),
        ("0", 0.0),
        (" 30 ", 30.0),
        ("3600", RETRY_AFTER_S_MAX),
        ("9" * 400, RETRY_AFTER_S_MAX),
    ],
)
def test_retry_after_reads_bounded_seconds(text: str | None, wait_s: float | None) -> None:
    assert parse_retry_after(text) == wait_s


@given(st.floats())
def test_any_wait_is_brought_into_bounds(wait_s: float) -> None:
    assert 0.0 <= bounded_s(wait_s) <= RETRY_AFTER_S_MAX


def test_no_answer_is_a_time_out_and_a_cut_connection_is_transient() -> None:
    assert timed_out(waited_s=2.5) == Outcome(OutcomeKind.TIMEOUT, "no answer in 2.5 s")
    assert cut_off(reason="r" * 999) == Outcome(TRANSIENT, "r" * DETAIL_LIMIT)

"""The decision table, row by row, and how soon the origin is asked again."""

from dataclasses import replace

import pytest

from surgetank.core.value import Dependency
from surgetank.safeguards.mirror.decision import (
    NEVER,
    Answer,
    Case,
    Fail,
    PassOn,
    Refused,
    Relay,
    Revalidated,
    ServeCached,
    Silent,
    Sound,
    StoreAndServe,
    Unchanged,
    Unsound,
    Unstorable,
    Withheld,
    decide,
    fresh_until,
)
from surgetank.safeguards.mirror.entry import Entry
from surgetank.safeguards.mirror.policy import MirrorPolicy, Rule

OLD, NEW = "0" * 64, "1" * 64
URL = "https://origin/m.xml"
ENTRY = Entry(
    url=URL,
    digest=OLD,
    size=1,
    content_type="text/xml",
    content_encoding="",
    etag='"old"',
    fetched_at=0.0,
    checked_at=0.0,
    used_at=0.0,
)
RULE = Rule(host="origin", dependency=Dependency("artifacts@eastus"))
POLICY = MirrorPolicy(rules=(RULE,), retry_s=30.0)
CASE = Case(URL, RULE, POLICY, now=1_000.0, chance=0.0)
BLOCKED = Refused(409, "PublicAccessNotPermitted")
SAME, OTHER = Sound(OLD, 1, etag='"new"'), Sound(NEW, 2)
REFUSALS = [Refused(status) for status in (302, 401, 403, 404, 409, 429, 500, 503)]


@pytest.mark.parametrize(
    ("answer", "with_copy", "without_copy"),
    [
        (Unchanged(), Revalidated, Fail),
        (SAME, Revalidated, StoreAndServe),
        (OTHER, StoreAndServe, StoreAndServe),
        (Unsound("short"), ServeCached, Fail),
        (Unstorable("large"), ServeCached, PassOn),
        *((refused, ServeCached, Relay) for refused in REFUSALS),
        (Refused(410), Relay, Relay),
        (Silent("cut", is_timeout=False), ServeCached, Fail),
        (Withheld("breaker_open", 1_060.0), ServeCached, Fail),
    ],
)
def test_table(answer: Answer, with_copy: type, without_copy: type) -> None:
    assert type(decide(ENTRY, answer, CASE)) is with_copy
    assert type(decide(None, answer, CASE)) is without_copy


def test_a_409_on_a_manifest_serves_the_last_copy_and_leaves_the_origin_alone() -> None:
    assert decide(ENTRY, BLOCKED, CASE) == ServeCached(
        "refused 409 PublicAccessNotPermitted", ask_at=1_030.0
    )


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (Unchanged(), 502),
        (Unsound("short"), 502),
        (Silent("slow", is_timeout=True), 504),
        (Silent("cut", is_timeout=False), 502),
        (Withheld("breaker_open", 1_060.0), 503),
    ],
)
def test_without_a_copy_a_failure_has_a_status(answer: Answer, status: int) -> None:
    decision = decide(None, answer, CASE)
    assert isinstance(decision, Fail)
    assert decision.status == status


def test_immutable_bytes_that_change_are_a_lie() -> None:
    case = CASE._replace(rule=replace(RULE, is_immutable=True))
    decision = decide(ENTRY, OTHER, case)
    assert isinstance(decision, ServeCached)
    assert decision.is_lie


def test_immutable_bytes_that_change_are_a_lie_even_when_the_copy_is_too_old_to_serve() -> None:
    rule = replace(RULE, is_immutable=True)
    case = CASE._replace(rule=rule, policy=replace(POLICY, stale_s=1.0))
    decision = decide(ENTRY, OTHER, case)
    assert isinstance(decision, ServeCached | Fail)
    assert decision.is_lie


def test_bytes_other_than_the_pinned_are_a_lie() -> None:
    case = CASE._replace(policy=replace(POLICY, pins={URL: OLD}))
    assert decide(ENTRY, OTHER, case) == ServeCached(
        f"pinned to {OLD}, got {NEW}", ask_at=1_030.0, is_lie=True
    )
    assert isinstance(decide(None, OTHER, case), Fail)
    assert isinstance(decide(None, SAME, case), StoreAndServe)


def test_a_pinned_body_is_not_passed_on_unchecked() -> None:
    case = CASE._replace(policy=replace(POLICY, pins={URL: OLD}))
    assert isinstance(decide(None, Unstorable("large"), case), Fail)


@pytest.mark.parametrize(("stale_s", "served"), [(None, True), (1_000.0, True), (999.0, False)])
def test_a_copy_is_served_until_it_is_too_old(stale_s: float | None, *, served: bool) -> None:
    case = CASE._replace(policy=replace(POLICY, stale_s=stale_s))
    assert isinstance(decide(ENTRY, BLOCKED, case), ServeCached) is served


def test_confirmed_bytes_keep_their_first_date_and_take_the_new_tag() -> None:
    decision = decide(ENTRY, SAME, CASE)
    assert decision == Revalidated(replace(ENTRY, etag='"new"', checked_at=1_000.0), 1_300.0)


def test_a_confirmation_without_a_tag_keeps_the_old_one() -> None:
    decision = decide(ENTRY, Unchanged(), CASE)
    assert isinstance(decision, Revalidated)
    assert decision.entry.etag == '"old"'


@pytest.mark.parametrize(
    ("retry_at", "ask_at"),
    [(None, 1_030.0), (1_010.0, 1_030.0), (1_090.0, 1_090.0), (9e9, 1_600.0)],
)
def test_the_origin_is_left_alone_as_long_as_it_asks_within_limits(
    retry_at: float | None, ask_at: float
) -> None:
    decision = decide(ENTRY, Refused(429, "", retry_at), CASE)
    assert isinstance(decision, ServeCached)
    assert decision.ask_at == ask_at


def test_mirrors_are_spread_by_a_tenth() -> None:
    assert fresh_until(RULE, since=0.0, chance=0.0) == 300.0
    assert fresh_until(RULE, since=0.0, chance=1.0) == 270.0
    assert fresh_until(replace(RULE, freshness_s=None), since=0.0, chance=0.5) == NEVER

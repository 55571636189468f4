"""A policy that cannot work is refused, and rules cover what they say."""

from typing import Any

import pytest

from surgetank.core.errors import InvalidInputError
from surgetank.core.value import Dependency
from surgetank.safeguards.mirror.policy import MirrorPolicy, Rule

ARTIFACTS = Dependency("artifacts@eastus")


def rule(**settings: Any) -> Rule:
    options: dict[str, Any] = {"host": "a.example", "dependency": ARTIFACTS} | settings
    return Rule(**options)


@pytest.mark.parametrize(
    "wrong",
    [
        {"host": "*"},
        {"host": ""},
        {"host": "*."},
        {"host": "a.*.example"},
        {"host": "A.example"},
        {"host": "https://a.example"},
        {"origin_scheme": "ftp"},
        {"freshness_s": -1.0},
        {"freshness_s": float("nan")},
    ],
)
def test_refuses_a_rule_that_cannot_work(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError):
        rule(**wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"rules": ()},
        {"rules": (rule(),) * 257},
        {"pins": {"https://a.example/x": "ABC"}},
        *({name: 0} for name in ("connect_s", "read_s", "fetch_s", "wait_s", "revalidate_s")),
        *({name: 0} for name in ("retry_s", "body_bytes_max", "entries_max", "fetches_max")),
        {"waiters_max": 0},
        {"url_bytes_max": 63},
        {"unused_s": 86_400.0},
        {"memory_bytes_max": -1},
        {"bytes_max": 1},
        {"stale_s": -1.0},
        {"wait_s": float("nan")},
    ],
)
def test_refuses_a_policy_that_cannot_work(wrong: dict[str, Any]) -> None:
    options: dict[str, Any] = {"rules": (rule(),)} | wrong
    with pytest.raises(InvalidInputError):
        MirrorPolicy(**options)


@pytest.mark.parametrize(
    ("pattern", "host", "covers"),
    [
        ("a.example", "a.example", True),
        ("a.example", "b.a.example", False),
        ("a.example:8443", "a.example", False),
        ("*.a.example", "b.a.example", True),
        ("*.a.example", "a.example", False),
        ("*.a.example", "evila.example", False),
    ],
)
def test_hosts_are_covered_as_written(pattern: str, host: str, *, covers: bool) -> None:
    assert rule(host=pattern).covers_host(host) is covers


def test_the_first_rule_that_covers_a_url_holds() -> None:
    first, second = rule(path="/x/*.xml"), rule()
    policy = MirrorPolicy(rules=(first, second))
    assert policy.rule_for_url("https://a.example/x/y/m.xml") is first
    assert policy.rule_for_url("https://a.example/m.zip?x") is second
    assert policy.rule_for_url("http://a.example/m.zip") is None
    assert policy.rule_for_url("https://b.example/") is None

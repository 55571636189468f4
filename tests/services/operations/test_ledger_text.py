"""A shared governor survives being written and read: a restart goes on where it was."""

import json

import pytest

from surgetank.control.evidence import Evidence
from surgetank.control.governor import GovernorPolicy
from surgetank.control.lease import Report, Shared, SharePolicy
from surgetank.control.peer.sdk import Sdk
from surgetank.control.share import begin, exchange
from surgetank.core.errors import IntegrityError
from surgetank.core.value import Dependency, OutcomeKind
from surgetank.safeguards.operations.ledger_text import VERSION, read, write

IDENTITY = Dependency("identity@eastus")
POLICY = GovernorPolicy()


def grown() -> Shared:
    """In the middle of a ramp, with a worker."""
    shared = begin(POLICY, dependency=IDENTITY, now=0.0)
    for second in range(1, 20):
        seen = Evidence(0.0, ok=20, held=1, latencies=(0.1,) * 20, latency_count=20)
        seen = seen._replace(latency_sum_s=2.0, backlog_ok=20)
        results = (OutcomeKind.OK,) * 20
        brought = Report("a", 0, seen, results=results, wants=10)
        shared, _ = exchange(shared, brought, SharePolicy(), now=float(second))
    return shared


def test_what_was_written_is_read() -> None:
    shared = grown()
    after = read(write(shared), POLICY, dependency=IDENTITY)
    fresh, backlog = after.governor.fresh, after.governor.backlog
    without_slots = shared.governor._replace(fresh=fresh, backlog=backlog)
    assert after == shared._replace(governor=without_slots)


def test_a_restart_in_a_ramp_goes_on_at_its_rate() -> None:
    shared = grown()
    first = begin(POLICY, dependency=IDENTITY, now=0.0).governor.release.rate_per_s
    after = read(write(shared), POLICY, dependency=IDENTITY)
    assert after.governor.release.rate_per_s == shared.governor.release.rate_per_s > 10 * first


def test_another_law_begins_anew() -> None:
    policy = GovernorPolicy(law=Sdk())
    after = read(write(grown()), policy, dependency=IDENTITY)
    assert after.governor.release == policy.law.start(now=after.at)


def test_a_newer_release_s_state_is_not_guessed_at() -> None:
    kept = json.loads(write(grown()))
    kept["version"] = VERSION + 1
    with pytest.raises(IntegrityError, match="newer"):
        read(json.dumps(kept), POLICY, dependency=IDENTITY)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"version":1}'])
def test_a_damaged_state_is_told(text: str) -> None:
    with pytest.raises(IntegrityError, match="damaged"):
        read(text, POLICY, dependency=IDENTITY)

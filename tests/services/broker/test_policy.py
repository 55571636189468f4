"""Refreshes come early and apart; a policy that cannot work is refused."""

from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surgetank.core.errors import IntegrityError, InvalidInputError
from surgetank.core.http import Response
from surgetank.core.value import Dependency
from surgetank.safeguards.broker.policy import BrokerPolicy, refresh_at
from surgetank.safeguards.broker.token import read_token

IDENTITY = Dependency("identity@eastus")
POLICY = BrokerPolicy(dependency=IDENTITY)


@given(st.floats(121.0, 86_400.0), st.integers())
def test_refresh_lies_between_half_and_six_tenths_of_a_life(life_s: float, seed: int) -> None:
    at = refresh_at(POLICY, issued_at=1e9, expires_at=1e9 + life_s, chance=Random(seed))
    assert 0.5 * life_s - 1e-3 <= at - 1e9 <= 0.6 * life_s + 1e-3


def test_brokers_are_spread_over_a_tenth_of_the_life() -> None:
    chance = Random(1)
    instants = sorted(
        refresh_at(POLICY, issued_at=0.0, expires_at=86_400.0, chance=chance) for _ in range(1_000)
    )
    assert instants[-1] - instants[0] > 0.099 * 86_400
    assert abs(instants[500] - 0.55 * 86_400) < 0.005 * 86_400


def test_a_short_life_does_not_make_a_tight_loop() -> None:
    assert refresh_at(POLICY, issued_at=0.0, expires_at=10.0, chance=Random(1)) == 60.0


@pytest.mark.parametrize(
    "wrong",
    [
        *({name: 0.0} for name in ("answer_s", "connect_s", "fetch_s", "idle_s", "reject_s")),
        {"refresh_ratio_min": 0.0},
        {"refresh_ratio_min": 0.7},
        {"refresh_ratio_max": 1.0},
        {"refresh_s_min": 0.0},
        {"margin_s": -1.0},
        {"urgent_s": float("nan")},
        {"life_s_max": 30.0},
        {"keys_max": 0},
        {"waiters_max": 0},
        {"query_bytes_max": 63},
        {"answer_bytes_max": 1_023},
        {"upstream": ""},
        {"upstream": "http://x"},
    ],
)
def test_refuses_a_policy_that_cannot_work(wrong: dict[str, Any]) -> None:
    options: dict[str, Any] = {"dependency": IDENTITY} | wrong
    with pytest.raises(InvalidInputError):
        BrokerPolicy(**options)


def read(body: bytes) -> Any:
    return read_token(Response(200, {}, body), now=1_000.0, life_s_max=86_400.0)


def test_the_secret_is_not_shown() -> None:
    assert "hush" not in repr(read(b'{"access_token": "hush", "expires_in": 100}'))


@pytest.mark.parametrize(
    ("life", "expires_at"),
    [
        (b'"expires_in": "100"', 1_100.0),
        (b'"expires_in": 100.5', 1_100.5),
        (b'"expires_on": "1200"', 1_200.0),
        (b'"expires_in": 100, "expires_on": "9999"', 1_100.0),
        (b'"expires_in": 1e9', 87_400.0),
    ],
)
def test_life_is_counted_on_our_clock_and_capped(life: bytes, expires_at: float) -> None:
    assert read(b'{"access_token": "t", ' + life + b"}").expires_at == expires_at


@pytest.mark.parametrize("life", [b'"expires_on": "999"', b'"expires_in": "1e999"', b'"x": 1'])
def test_a_life_that_is_over_or_unknown_is_refused(life: bytes) -> None:
    with pytest.raises(IntegrityError):
        read(b'{"access_token": "t", ' + life + b"}")


def test_what_cannot_be_read_does_not_quote_the_secret() -> None:
    with pytest.raises(IntegrityError) as raised:
        read(b'{"access_token": "hush", ')
    assert "hush" not in repr(raised.value)
    assert raised.value.__cause__ is None

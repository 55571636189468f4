"""What the control endpoint says, and what it does not take."""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.live.standin.conftest import Town


@pytest.mark.parametrize(
    ("path", "status"), [("/healthz", {"status": "alive"}), ("/readyz", {"status": "ready"})]
)
def test_it_says_how_it_is(town: "Town", path: str, status: dict[str, str]) -> None:
    answer = town.ask("control", path)
    assert (answer.status, answer.document()) == (200, status)


def test_a_probe_may_ask_for_the_head_alone(town: "Town") -> None:
    answer = town.ask("control", "/readyz", method="HEAD")
    assert (answer.status, answer.body) == (200, b"")


def test_the_state_names_what_is_played(town: "Town") -> None:
    state = town.state()
    assert (state["phase"], state["scenario"], state["region"]) == (
        "ready",
        "azure-2026-02",
        "eastus",
    )


def test_the_state_shows_the_policy(town: "Town") -> None:
    town.act("/faults/policy")
    accounts = town.state()["accounts"]
    assert list(accounts) == town.told["accounts"]
    assert not any(one["access"]["allow_blob_public_access"] for one in accounts.values())


def test_the_repair_may_take_one_account_at_a_time(town: "Town") -> None:
    first, *others = town.told["accounts"]
    town.act("/faults/policy")
    assert town.act("/acts/repair", accounts=[first]) == {"changed": [first]}
    accounts = town.state()["accounts"]
    assert accounts[first]["access"]["allow_blob_public_access"]
    assert not any(accounts[name]["access"]["allow_blob_public_access"] for name in others)


def test_the_state_shows_the_token_service(town: "Town") -> None:
    town.act("/acts/traffic", open_ratio=0.25)
    identity = town.state()["identity"]
    assert (identity["open_ratio"], identity["crashes"]) == (0.25, 0)
    assert identity["queue_s"] >= 0


def test_operators_add_nodes(town: "Town") -> None:
    before = town.state()["identity"]["live_ratio"]
    town.act("/acts/scale", nodes=4)
    assert town.state()["identity"]["live_ratio"] > before


def test_the_state_shows_the_safeguards(town: "Town") -> None:
    town.ask("mirror", town.package)
    before = town.state()["mirror"]
    town.ask("mirror", town.package)
    after = town.state()["mirror"]
    assert after["hits"] == before["hits"] + 1
    assert after["copies"] == before["copies"] >= 1


def test_an_act_without_a_body_means_all(town: "Town") -> None:
    answer = town.ask("control", "/faults/policy", method="POST")
    assert answer.document() == {"changed": town.told["accounts"]}


@pytest.mark.parametrize(
    ("method", "path", "status", "detail"),
    [
        ("GET", "/", 404, "no such path: /"),
        ("POST", "/faults", 404, "no such path: /faults"),
        ("POST", "/state", 405, "/state takes GET and HEAD, not POST"),
        ("GET", "/acts/repair", 405, "/acts/repair takes POST, not GET"),
    ],
)
def test_what_it_does_not_know_is_a_problem(
    town: "Town", method: str, path: str, status: int, detail: str
) -> None:
    answer = town.ask("control", path, method=method)
    assert answer.status == status
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.document()
    assert (document["status"], document["detail"]) == (status, detail)
    assert document["title"]


@pytest.mark.parametrize(
    ("path", "methods"), [("/readyz", "GET, HEAD"), ("/faults/policy", "POST")]
)
def test_a_wrong_method_is_told_the_right_ones(town: "Town", path: str, methods: str) -> None:
    assert town.ask("control", path, method="DELETE").headers["allow"] == methods


@pytest.mark.parametrize(
    ("path", "body", "detail"),
    [
        ("/acts/traffic", b"{", "the body: Invalid JSON"),
        ("/acts/traffic", b"[]", "the body: Input should be an object"),
        ("/acts/traffic", b"", "open_ratio: Field required"),
        ("/acts/traffic", b'{"open_ratio": 2}', "open_ratio: Input should be less than or equal"),
        ("/acts/traffic", b'{"open_ratio": "0"}', "open_ratio: Input should be a valid number"),
        ("/acts/traffic", b'{"open_ratio": 0, "by": 1}', "by: Extra inputs are not permitted"),
        ("/acts/traffic", b"\xff", "the body: "),
        ("/acts/scale", b'{"nodes": 0}', "nodes: Input should be greater than or equal to 1"),
        ("/acts/scale", b'{"nodes": 1000}', "cannot add 1000 nodes"),
        ("/faults/policy", b'{"accounts": "a"}', "accounts: Input should be a valid array"),
        ("/acts/repair", b'{"accounts": [1]}', "accounts.0: Input should be a valid string"),
    ],
)
def test_a_body_that_is_not_what_is_wanted_is_a_problem(
    town: "Town", path: str, body: bytes, detail: str
) -> None:
    answer = town.ask("control", path, method="POST", body=body)
    assert answer.status == 400
    assert answer.document()["detail"].startswith(detail)


def test_a_list_of_accounts_has_an_end(town: "Town") -> None:
    body = b'{"accounts": [' + b",".join([b'"a"'] * 1_001) + b"]}"
    assert town.ask("control", "/faults/policy", method="POST", body=body).status == 400

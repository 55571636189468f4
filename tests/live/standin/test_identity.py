"""Unmodified azure-identity against the token service, and against the broker before it."""

from typing import TYPE_CHECKING, Protocol

import pytest
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import ManagedIdentityCredential

if TYPE_CHECKING:
    from tests.live.standin.conftest import Town


class Get(Protocol):
    def __call__(self, service: str, /) -> str: ...


@pytest.fixture
def get(town: "Town", monkeypatch: pytest.MonkeyPatch) -> Get:
    """Ask one service for a token as a new process would, without the SDK's own 24 s of retries."""

    def get(service: str) -> str:
        monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", town.url(service))
        with ManagedIdentityCredential(retry_total=0) as credential:
            token: str = credential.get_token("https://vault.azure.net/.default").token
            return token

    return get


def test_the_token_service_gives_a_token(town: "Town", get: Get) -> None:
    before = town.state()["identity"]["issued"]
    assert get("identity").startswith("eastus.")
    assert town.state()["identity"]["issued"] == before + 1


def test_processes_share_the_token_of_the_broker(town: "Town", get: Get) -> None:
    first = get("broker")
    before = town.state()["identity"]["issued"]
    assert get("broker") == first
    assert town.state()["identity"]["issued"] == before


def test_the_token_service_gives_none_while_traffic_is_off(town: "Town", get: Get) -> None:
    town.act("/acts/traffic", open_ratio=0)
    with pytest.raises(ClientAuthenticationError):
        get("identity")
    assert town.state()["identity"]["turned_away"] >= 1


def test_the_broker_still_gives_its_token_while_traffic_is_off(town: "Town", get: Get) -> None:
    first = get("broker")
    town.act("/acts/traffic", open_ratio=0)
    assert get("broker") == first


def test_the_token_service_gives_tokens_again_when_traffic_is_back(town: "Town", get: Get) -> None:
    town.act("/acts/traffic", open_ratio=0)
    town.act("/acts/traffic", open_ratio=1)
    assert get("identity").startswith("eastus.")

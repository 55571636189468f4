"""What a server says and does when its store is away, or not for it any more."""

import json
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Protocol

import pytest

psycopg = pytest.importorskip("psycopg", reason="the package psycopg is not installed")

Serve = Callable[..., Any]


def is_ready(status: int, _: Any) -> bool:
    return status == HTTPStatus.OK


def is_not_ready(status: int, _: Any) -> bool:
    return status != HTTPStatus.OK


class Postgres(Protocol):
    def start(self) -> None: ...
    def stop(self) -> None: ...
    def psql(self, command: str) -> str: ...
    def get_uri(self, database: str | None = None) -> str: ...


@pytest.fixture
def address(postgres_server: Postgres) -> str:
    """A database whose server can be stopped."""
    postgres_server.psql("drop database if exists served")
    postgres_server.psql("create database served")
    return postgres_server.get_uri("served")


def test_readyz_says_what_is_wrong_while_the_database_is_away(
    serve: Serve, postgres_server: Postgres, address: str
) -> None:
    server = serve(f'store = "{address}"')
    server.until("GET", "/readyz", is_ready)
    postgres_server.stop()
    try:
        said = server.until("GET", "/readyz", is_not_ready)
        refused, problem = server.ask("POST", "/v1/operations", server.new("k1"))
        alive, _ = server.ask("GET", "/healthz")
    finally:
        postgres_server.start()
    assert said["reason"].startswith("the store: the store ")
    assert (refused, problem["code"], alive) == (503, "dependency", 200)
    server.until("GET", "/readyz", is_ready)
    assert server.ask("POST", "/v1/operations", server.new("k1"))[0] == HTTPStatus.CREATED


def test_a_server_whose_database_a_newer_release_took_ends_and_says_so(
    serve: Serve, address: str
) -> None:
    server = serve(f'store = "{address}"')
    with psycopg.connect(address, autocommit=True) as other:
        other.execute(
            "insert into surgetank.migration (version, readable_from) values (1000, 1000)"
        )
        other.execute(
            """select pg_terminate_backend(pid) from pg_stat_activity
             where datname = current_database() and pid <> pg_backend_pid()"""
        )
    said, _ = server.process.communicate(timeout=60)
    error = json.loads(said)["error"]
    assert (server.process.returncode, error["code"]) == (1, "integrity")
    assert "schema version 1000 is for releases that speak 1000 or more" in error["message"]

"""Counting in a peer's PostgreSQL database, by the psycopg of its environment."""

from importlib import import_module
from typing import Any

psycopg: Any = import_module("psycopg")


def count(address: str, query: str) -> int:
    """Run a query that gives one number."""
    with psycopg.connect(address) as connection:
        return int(connection.execute(query).fetchone()[0])

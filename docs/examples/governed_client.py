"""Calls without asyncio, under the governors of a server."""

import os
from collections.abc import Callable

from surgetank.client import Client

client = Client(os.environ["SURGETANK_URL"], os.environ.get("SURGETANK_TOKEN"))


def token(fetch: Callable[[], str]) -> str:
    """Get a token; safe to call from many threads."""
    with client.permit("identity@eastus", wait_s=10):
        return fetch()


def create(name: str) -> str:
    """Hand in a durable operation; the same key is the same operation."""
    submitted = client.submit(
        {
            "key": f"create-{name}",
            "kind": "create_vm",
            "region": "eastus",
            "steps": [
                {
                    "name": "vm",
                    "dependency": "compute@eastus",
                    "action": "http",
                    "arguments": {"method": "PUT", "url": f"http://127.0.0.1:1/{name}"},
                }
            ],
        }
    )
    return submitted.id

"""The client and `surgetank run` against `surgetank serve`, as processes of their own."""

import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from surgetank.client import BreakerOpenError, ConflictError, InvalidInputError

COMMAND = Path(sys.executable).with_name("surgetank")
PATIENCE_S = 60.0
VM = "vm@eastus"
OPERATION: dict[str, object] = {
    "key": "create-vm-1",
    "kind": "create_vm",
    "region": "eastus",
    "run_at": "2999-01-01T00:00:00Z",
    "steps": [
        {
            "name": "vm",
            "dependency": VM,
            "action": "http",
            "arguments": {"method": "PUT", "url": "http://127.0.0.1:1/"},
        }
    ],
}


class Served(NamedTuple):
    url: str
    token: str
    reader: str
    """A token that may only read."""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Generator[Served]:
    """Start a server on a free port; stopped after the module."""
    folder = tmp_path_factory.mktemp("served")
    worker, reader = secrets.token_hex(16), secrets.token_hex(16)
    tokens = folder / "tokens"
    tokens.touch(mode=0o600)
    tokens.write_text(f"ci work {worker}\neve read {reader}\n")
    config = folder / "surgetank.toml"
    config.write_text('directory = "data"\n[serve]\nport = 0\ntokens = "tokens"\n')
    process = subprocess.Popen(  # noqa: S603 - our own command
        [COMMAND, "serve", "--config", config, "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise AssertionError(process.communicate(timeout=PATIENCE_S))
        yield Served(json.loads(line)["url"], worker, reader)
        process.send_signal(signal.SIGTERM)
        _, complained = process.communicate(timeout=PATIENCE_S)
        assert (process.returncode, "Traceback" in complained) == (0, False)
    finally:
        process.kill()
        process.wait()


def test_an_operation_is_submitted_once_and_read(served: Served, connect: Any) -> None:
    client = connect(served.url, served.token)
    first, again = client.submit(OPERATION), client.submit(OPERATION)
    assert (first.is_new, again.is_new, first.id) == (True, False, again.id)
    operation = client.operation(first.id)
    assert operation is not None
    assert (operation["id"], operation["kind"]) == (first.id, "create_vm")


def test_a_key_with_another_body_is_a_conflict(served: Served, connect: Any) -> None:
    client = connect(served.url, served.token)
    client.submit(OPERATION)
    with pytest.raises(ConflictError):
        client.submit({**OPERATION, "region": "westus"})


def test_an_operation_that_nobody_submitted_is_not_known(served: Served, connect: Any) -> None:
    assert connect(served.url, served.token).operation("0" * 32) is None


def test_who_may_only_read_gets_no_permit(served: Served, connect: Any) -> None:
    client = connect(served.url, served.reader)
    with pytest.raises(InvalidInputError, match="403"), client.permit(VM):
        raise AssertionError


def test_jobs_and_clients_share_one_breaker(served: Served, connect: Any) -> None:
    environment = {"SURGETANK_URL": served.url, "SURGETANK_TOKEN": served.token}
    for _ in range(3):
        words = ["run", "--on", "ci@eastus", "--blocked-exit", "3", "--", "sh", "-c", "exit 3"]
        done = subprocess.run(  # noqa: S603 - our own command
            [COMMAND, *words], check=False, env=os.environ | environment, timeout=PATIENCE_S
        )
        assert done.returncode == 3
    client = connect(served.url, served.token)
    with pytest.raises(BreakerOpenError), client.permit("ci@eastus"):
        raise AssertionError

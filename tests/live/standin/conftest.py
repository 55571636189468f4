"""The installed command as a process, and plain questions to what it serves."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Generator, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlsplit

import pytest

COMMAND = Path(sys.executable).with_name("surgetank")
PATIENCE_S = 60.0
QUICK = ("--boot", "0", "--token-gap", "0")


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes

    def document(self) -> dict[str, Any]:
        assert "json" in self.headers["content-type"]
        document: dict[str, Any] = json.loads(self.body)
        return document


@dataclass
class Town:
    """A running `surgetank up --json`."""

    process: "subprocess.Popen[str]"
    scratch: Path
    """Where it makes its temporary files."""
    told: dict[str, Any]
    """What it said when it was ready."""
    _artifacts: Iterator[dict[str, str]] = field(init=False)

    def __post_init__(self) -> None:
        self._artifacts = iter(self.told["artifacts"][1:])

    def url(self, service: str) -> str:
        url: str = self.told["endpoints"][service]
        return url

    @property
    def package(self) -> str:
        """The path of a package that any test may have read."""
        path: str = self.told["artifacts"][0]["package"]
        return path

    def fresh(self) -> dict[str, str]:
        """The paths of an extension that no test has read yet, as `manifest` and `package`."""
        return next(self._artifacts)

    def ask(
        self,
        service: str,
        path: str,
        *,
        method: str = "GET",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        connection = HTTPConnection(urlsplit(self.url(service)).netloc, timeout=PATIENCE_S)
        try:
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            named = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, named, response.read())
        finally:
            connection.close()

    def act(self, path: str, **fields: object) -> dict[str, Any]:
        """Let a fault strike or an operator act."""
        answer = self.ask("control", path, method="POST", body=json.dumps(fields).encode())
        assert answer.status == 200, answer
        return answer.document()

    def state(self) -> dict[str, Any]:
        return self.ask("control", "/state").document()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, str, str]:
        """Tell it to stop; gives its exit status and what it said from then on."""
        self.process.send_signal(number)
        said, complained = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, said, complained


class Start(Protocol):
    def __call__(self, *words: str) -> Town: ...


@contextmanager
def running(scratch: Path, *words: str) -> Generator[Town]:
    process = subprocess.Popen(  # noqa: S603 - our own command
        [COMMAND, "up", "--json", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(scratch)},
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise AssertionError(process.communicate(timeout=PATIENCE_S))
        yield Town(process, scratch, json.loads(line))
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


@contextmanager
def starting(directory: Path) -> Generator[Start]:
    with ExitStack() as stack:

        def start(*words: str) -> Town:
            scratch = directory / f"scratch-{len(list(directory.iterdir()))}"
            scratch.mkdir()
            return stack.enter_context(running(scratch, *QUICK, *words))

        yield start


@pytest.fixture
def start(tmp_path: Path) -> Generator[Start]:
    """Start the command; ended after the test."""
    with starting(tmp_path) as start:
        yield start


@pytest.fixture(scope="module")
def start_for_module(tmp_path_factory: pytest.TempPathFactory) -> Generator[Start]:
    """Start the command; ended after the module."""
    with starting(tmp_path_factory.mktemp("module")) as start:
        yield start


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Generator[Town]:
    with running(tmp_path_factory.mktemp("shared"), *QUICK) as town:
        yield town
        status, said, complained = town.stop()
        assert (status, said) == (0, "")
        assert "Traceback" not in complained


@pytest.fixture
def town(shared: Town) -> Generator[Town]:
    """One for all tests, with all its faults repaired after each."""
    yield shared
    shared.act("/acts/repair")
    shared.act("/acts/traffic", open_ratio=1)

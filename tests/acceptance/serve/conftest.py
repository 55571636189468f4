"""The real command on a free port, its callers, and what its operations call."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Generator
from dataclasses import dataclass
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

Run = Callable[..., "subprocess.CompletedProcess[str]"]

COMMAND = Path(sys.executable).with_name("surgetank")
TOKEN = "t" * 40
WAIT_S = 60.0
TRIES_MAX = 20_000


class Origin:
    """What operations call: it holds its answers until it is told to give them."""

    def __init__(self) -> None:
        self.paths = list[str]()
        self.is_called = threading.Event()
        self.may_answer = threading.Event()
        self.may_answer.set()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self.may_answer.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        origin = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                origin.paths.append(self.path)
                origin.is_called.set()
                origin.may_answer.wait(WAIT_S)
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:  # pyright: ignore[reportIncompatibleMethodOverride] - nothing is said
                pass

        return Handler


@dataclass
class Serving:
    """A server while it runs."""

    process: "subprocess.Popen[str]"
    url: str
    origin: Origin
    folder: Path
    run: Run

    def ask(
        self, method: str, path: str, body: Any = None, *, token: str = TOKEN
    ) -> tuple[int, Any]:
        """Ask once, as any client would; gives what JSON says, None where nothing was said."""
        parts = urlsplit(self.url)
        connection = HTTPConnection(str(parts.hostname), parts.port, timeout=WAIT_S)
        headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
        try:
            content = None if body is None else json.dumps(body)
            connection.request(method, path, content, headers)
            response = connection.getresponse()
            return response.status, json.loads(response.read() or "null")
        finally:
            connection.close()

    def until(self, method: str, path: str, is_so: Callable[[int, Any], bool]) -> Any:
        """Ask until the answer is as wanted."""
        status, body = 0, None
        for _ in range(TRIES_MAX):
            status, body = self.ask(method, path)
            if is_so(status, body):
                return body
        raise AssertionError(f"{method} {path}: never so: {status} {body}")

    def new(self, key: str, **changes: Any) -> dict[str, Any]:
        """Describe an operation of one call to the origin."""
        arguments = {"url": f"{self.origin.url}/{key}"}
        step = {
            "name": "vm",
            "dependency": "compute@eastus",
            "arguments": arguments,
            "is_repeatable": True,
        }
        return {"key": key, "kind": "create_vm", "region": "eastus", "steps": [step], **changes}

    def op(self, *words: str, stdin: str = "") -> "subprocess.CompletedProcess[str]":
        """Run `surgetank op` against it, in the folder of the server."""
        return self.run("op", *words, stdin=stdin, SURGETANK_URL=self.url, SURGETANK_TOKEN=TOKEN)

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """Send a signal and wait for the end: status, and what was logged."""
        self.process.send_signal(number)
        _, logged = self.process.communicate(timeout=WAIT_S)
        return self.process.returncode, logged


Serve = Callable[..., Serving]


@pytest.fixture
def origin() -> Generator[Origin]:
    """What operations call."""
    made = Origin()
    yield made
    made.close()


@pytest.fixture
def serve(tmp_path: Path, origin: Origin, run: Run) -> Generator[Serve]:
    """Start `surgetank serve` in a folder that is the same each time; all are ended after."""
    started = list[Serving]()
    tokens = tmp_path / "tokens"
    tokens.write_text(f"alice admin {TOKEN}\nci work {'c' * 40}\n")
    tokens.chmod(0o600)

    def serve(text: str = "", more: str = "", **environment: str) -> Serving:
        file = tmp_path / f"surgetank{len(started)}.toml"
        head = f'directory = "state"\n{text}\n'
        file.write_text(f'{head}[serve]\nport = 0\ntokens = "tokens"\n{more}\n')
        process = subprocess.Popen(  # noqa: S603 - our own command
            [COMMAND, "serve", "--config", str(file), "--json"],
            env=os.environ | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise AssertionError(f"it did not start: {process.communicate(timeout=WAIT_S)}")
        started.append(Serving(process, json.loads(line)["url"], origin, tmp_path, run))
        return started[-1]

    yield serve
    origin.may_answer.set()
    for each in started:
        if each.process.poll() is None:
            each.process.kill()
        each.process.communicate(timeout=WAIT_S)

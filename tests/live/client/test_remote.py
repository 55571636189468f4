"""The synchronous client over real sockets."""

import json
import logging
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.error import HTTPError

import pytest

from surgetank.client import (
    BreakerOpenError,
    Client,
    ConflictError,
    DependencyError,
    InvalidInputError,
    Lane,
    Outcome,
    OutcomeKind,
    QueueFullError,
    RefusedError,
    ReleaseHeldError,
)
from surgetank.core.http import Request, Response

VM = "vm@eastus"


@pytest.fixture
def client(office: Any, connect: Any) -> Client:
    """A client that would rather fail than go on without its server."""
    client: Client = connect(office.url, office.token, is_fail_open=False)
    return client


def test_a_body_that_ends_well_is_reported_so(office: Any, client: Client) -> None:
    with client.permit(VM) as permit:
        assert (permit.is_governed, office.in_flight(VM)) == (True, 1)
    assert (office.kinds(), office.in_flight(VM)) == (["ok"], 0)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (TimeoutError(), "timeout"),
        (ConnectionResetError(), "transient"),
        (KeyError("x"), "transient"),
        (HTTPError("http://x/", 429, "slow down", {}, None), "throttled"),  # type: ignore[arg-type]  # headers
    ],
)
def test_a_body_that_raises_is_reported_by_what_it_raised(
    office: Any, client: Client, error: Exception, kind: str
) -> None:
    with pytest.raises(type(error)), client.permit(VM):
        raise error
    assert office.kinds() == [kind]


def test_what_stops_the_process_gives_the_permit_back(office: Any, client: Client) -> None:
    with pytest.raises(KeyboardInterrupt), client.permit(VM):
        raise KeyboardInterrupt
    assert office.requests[-1].method == "DELETE"
    assert office.in_flight(VM) == 0


def test_an_outcome_that_is_reported_counts_and_the_end_of_the_body_does_not(
    office: Any, client: Client
) -> None:
    with client.permit(VM) as permit:
        permit.report(Outcome(OutcomeKind.THROTTLED, "slow", client.now() + 60.0))
    assert office.kinds() == ["throttled"]
    with pytest.raises(ReleaseHeldError) as refusal, client.permit(VM, lane=Lane.BACKLOG):
        pass
    assert refusal.value.retry_at is not None
    assert 0 < refusal.value.retry_at - client.now() <= 60.0


def test_a_permit_is_reported_once(client: Client) -> None:
    with client.permit(VM) as permit:
        permit.report(Outcome(OutcomeKind.OK))
        with pytest.raises(ConflictError):
            permit.report(Outcome(OutcomeKind.OK))


def test_an_open_breaker_is_raised_and_the_body_does_not_run(office: Any, client: Client) -> None:
    office.break_down(VM)
    with pytest.raises(BreakerOpenError) as refusal, client.permit(VM):
        raise AssertionError
    assert refusal.value.retry_at is not None
    assert 0 < refusal.value.retry_at - client.now() <= 300.0


def test_leave_that_comes_in_time_is_waited_for(short_office: Any, connect: Any) -> None:
    short_office.break_down(VM)
    with connect(short_office.url, short_office.token).permit(VM, wait_s=20.0) as permit:
        assert permit.is_governed


def test_a_function_is_governed_by_what_it_returns(office: Any, client: Client) -> None:
    class Answer:
        status_code = 503
        headers: ClassVar = {"Retry-After": "7"}

    @client.governed(VM)
    def fetch() -> Answer:
        return Answer()

    fetch()
    assert json.loads(office.requests[-1].body)["retry_after_s"] == pytest.approx(7.0, abs=0.5)
    assert office.kinds() == ["throttled"]


def test_without_a_server_work_goes_on_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    with (
        caplog.at_level(logging.WARNING, "surgetank.client"),
        Client(nowhere()).permit(VM) as permit,
    ):
        assert not permit.is_governed
    assert "vm@eastus is called without a permit" in caplog.text


def test_a_client_that_fails_closed_raises_without_a_server() -> None:
    client = Client(nowhere(), is_fail_open=False)
    with pytest.raises(DependencyError), client.permit(VM):
        raise AssertionError


def test_a_server_that_is_at_fault_counts_as_away(serve_in_thread: Any, connect: Any) -> None:
    async def faulty(_: Request) -> Response:
        return Response(503)

    with serve_in_thread(faulty) as url, connect(url).permit(VM) as permit:
        assert not permit.is_governed


def test_a_server_that_is_away_is_left_alone_for_a_while(
    serve_in_thread: Any, connect: Any
) -> None:
    asked: list[str] = []

    async def faulty(request: Request) -> Response:
        asked.append(request.path)
        return Response(503)

    with serve_in_thread(faulty) as url:
        client = connect(url)
        for _ in range(5):
            with client.permit(VM):
                pass
    assert asked == ["/v1/permits"]


def test_a_server_that_never_answers_is_not_waited_for(connect: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with connect(url, timeout_s=0.2).permit(VM) as permit:
            assert not permit.is_governed


def test_a_wrong_token_is_the_callers_mistake(office: Any, connect: Any) -> None:
    client = connect(office.url, "another-token")
    with pytest.raises(InvalidInputError, match="401"), client.permit(VM):
        raise AssertionError


def test_a_name_that_is_none_is_the_callers_mistake(client: Client) -> None:
    with pytest.raises(InvalidInputError, match="dependency"), client.permit("vm"):
        raise AssertionError


@pytest.mark.parametrize(
    "url", ["vm", "ftp://here/", "http:///path", "http://here/?a=b", "http://x:y/", "http://x/ y"]
)
def test_what_is_no_server_is_refused_at_once(url: str) -> None:
    with pytest.raises(InvalidInputError):
        Client(url)


@pytest.mark.parametrize("more", [{"token": "a b"}, {"token": "a\r\nx: y"}, {"timeout_s": 0.0}])
def test_what_no_request_can_carry_is_refused_at_once(more: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError):
        Client("http://127.0.0.1:1", **more)


@pytest.mark.parametrize("wait_s", [-1.0, 86_401.0, float("nan")])
def test_a_wait_is_at_most_a_day(wait_s: float) -> None:
    with pytest.raises(InvalidInputError), Client("http://127.0.0.1:1").permit(VM, wait_s=wait_s):
        raise AssertionError


def test_an_outcome_that_cannot_be_told_breaks_nothing(
    serve_in_thread: Any, connect: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def give_only(request: Request) -> Response:
        if request.path != "/v1/permits":
            return Response(404)
        return Response(200, {"content-type": "application/json"}, b'{"id": "p"}')

    caplog.set_level(logging.WARNING, "surgetank.client")
    with serve_in_thread(give_only) as url, connect(url).permit(VM):
        pass
    assert "the end of a permit was not told" in caplog.text


def test_threads_share_a_client(office: Any, client: Client) -> None:
    barrier = threading.Barrier(8, timeout=30)

    def work(_: int) -> None:
        with client.permit(VM):
            barrier.wait()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert (office.kinds(), office.in_flight(VM)) == (["ok"] * 8, 0)


def test_a_client_works_after_a_fork(office: Any) -> None:
    words = (
        "import os, sys\n"
        "from surgetank.client import Client\n"
        "client = Client(sys.argv[1], sys.argv[2], is_fail_open=False)\n"
        "def work():\n"
        "    with client.permit('vm@eastus'): pass\n"
        "work()\n"
        "child = os.fork()\n"
        "for _ in range(20): work()\n"
        "if child: sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    done = subprocess.run(  # noqa: S603 - this interpreter
        [sys.executable, "-c", words, office.url, office.token], check=False, timeout=60
    )
    assert (done.returncode, len(office.kinds())) == (0, 41)


def test_the_synchronous_client_loads_no_asyncio() -> None:
    words = (
        "import sys; from surgetank.client import Client, Lane; Client('http://127.0.0.1:1')\n"
        "print([name for name in ('asyncio', 'aiohttp', 'pydantic', 'structlog', 'celery')"
        " if name in sys.modules])"
    )
    said = subprocess.run(  # noqa: S603 - this interpreter
        [sys.executable, "-c", words],
        check=True,
        capture_output=True,
        text=True,
        env={name: value for name, value in os.environ.items() if not name.startswith("COV")},
        timeout=60,
    )
    assert said.stdout == "[]\n"


class Counting(BaseHTTPRequestHandler):
    """Counts connections; breaks each after its first answer when told to."""

    protocol_version = "HTTP/1.1"
    connections = 0
    is_breaking = False

    def setup(self) -> None:
        super().setup()
        type(self).connections += 1

    def do_GET(self) -> None:
        self.send_response(404)
        self.send_header("content-length", "0")
        self.end_headers()
        self.close_connection = self.is_breaking

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its own name
        del format, args


@pytest.mark.parametrize(("is_breaking", "connections"), [(False, 1), (True, 3)])
def test_a_connection_is_kept_and_replaced_when_it_broke(
    connect: Any, *, is_breaking: bool, connections: int
) -> None:
    class Kind(Counting):
        pass

    Kind.is_breaking = is_breaking
    with ThreadingHTTPServer(("127.0.0.1", 0), Kind) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        client: Client = connect(f"http://127.0.0.1:{server.server_port}")
        assert [client.operation("x") for _ in range(3)] == [None] * 3
        client.close()
        server.shutdown()
        thread.join()
    assert Kind.connections == connections


def test_a_permit_whose_client_left_while_it_waited_is_given_back(short_office: Any) -> None:
    short_office.break_down(VM)
    raw = json.dumps({"dependency": VM, "wait_s": 20}).encode()
    with socket.create_connection(("127.0.0.1", int(short_office.url.rpartition(":")[2]))) as wire:
        wire.sendall(
            b"POST /v1/permits HTTP/1.1\r\nhost: here\r\ncontent-type: application/json\r\n"
            b"authorization: Bearer " + short_office.token.encode() + b"\r\n"
            b"content-length: " + str(len(raw)).encode() + b"\r\n\r\n" + raw
        )
        assert short_office.asked.wait(30)
    passes(lambda: short_office.state(VM) == "half_open")  # a probe was let in
    passes(lambda: (short_office.api.open, short_office.in_flight(VM)) == (0, 0))


def passes(condition: Callable[[], bool]) -> None:
    """Wait until something is so."""
    for _ in range(1_000):
        if condition():
            return
        threading.Event().wait(0.01)
    raise AssertionError


SUBMITTED: dict[str, object] = {"key": "k1", "kind": "create_vm", "region": "eastus", "steps": []}


@pytest.mark.parametrize(("status", "is_new"), [(201, True), (200, False)])
def test_an_operation_is_submitted(
    serve_in_thread: Any, connect: Any, status: int, *, is_new: bool
) -> None:
    asked: list[Request] = []

    async def take(request: Request) -> Response:
        asked.append(request)
        body = json.dumps({"id": "7", "is_new": is_new, "key": "k1"}).encode()
        return Response(status, {"content-type": "application/json"}, body)

    with serve_in_thread(take) as url:
        assert connect(url).submit(SUBMITTED) == ("7", is_new)
    assert json.loads(asked[0].body) == SUBMITTED


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (409, "conflict", ConflictError),
        (400, "invalid_input", InvalidInputError),
        (401, "unauthenticated", InvalidInputError),
        (503, "queue_full", QueueFullError),
        (503, "refused", RefusedError),
        (500, "internal", DependencyError),
    ],
)
def test_a_problem_is_raised_as_what_its_code_says(
    serve_in_thread: Any, connect: Any, status: int, code: str, kind: type[Exception]
) -> None:
    async def refuse(_: Request) -> Response:
        body = json.dumps({"code": code, "detail": "so it is"}).encode()
        return Response(status, {"content-type": "application/problem+json"}, body)

    with serve_in_thread(refuse) as url, pytest.raises(kind, match="so it is"):
        connect(url).submit(SUBMITTED)


def test_an_operation_is_read_or_not_known(serve_in_thread: Any, connect: Any) -> None:
    async def show(request: Request) -> Response:
        if request.path != "/v1/operations/a%2Fb":
            return Response(404)
        return Response(200, {"content-type": "application/json"}, b'{"state": "ready"}')

    with serve_in_thread(show) as url:
        assert connect(url).operation("a/b") == {"state": "ready"}
        assert connect(url).operation("c") is None


def nowhere() -> str:
    """A port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

import json
import signal
import threading
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest

Serve = Callable[..., Any]
Run = Callable[..., Any]


def _is(state: str) -> Callable[[int, Any], bool]:
    return lambda status, body: status == 200 and body["state"] == state


def _has_fifty(_: int, body: Any) -> bool:
    return bool(body["states"]["ready"] >= 50)


def _drains(status: int, body: Any) -> bool:
    return (status, body["reason"]) == (503, "draining")


def test_what_is_submitted_is_done(serve: Serve) -> None:
    server = serve()
    status, receipt = server.ask("POST", "/v1/operations", server.new("k1"))
    assert status == 201
    server.until("GET", f"/v1/operations/{receipt['id']}", _is("succeeded"))
    assert server.origin.paths == ["/k1"]


def test_nothing_acknowledged_is_lost_when_it_is_killed(serve: Serve) -> None:
    server = serve()
    acknowledged = list[str]()

    def submit(worker: int) -> None:
        try:
            for number in range(1_000):
                body = server.new(f"{worker}-{number}", run_at="2999-01-01T00:00:00Z")
                status, receipt = server.ask("POST", "/v1/operations", body)
                if status == 201:
                    acknowledged.append(receipt["id"])
        except (OSError, ValueError, HTTPException):
            return  # It was killed: the answer never came.

    threads = [threading.Thread(target=submit, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    server.until("GET", "/v1/counts", _has_fifty)
    server.process.kill()
    for thread in threads:
        thread.join()
    again = serve()
    lost = [one for one in acknowledged if again.ask("GET", f"/v1/operations/{one}")[0] != 200]
    assert (len(acknowledged) >= 50, lost) == (True, [])


def test_a_call_under_way_when_it_is_killed_is_made_again_by_the_next(serve: Serve) -> None:
    limits = "[operations]\nlease_s = 1\nscan_s = 0.5"
    server = serve(more=limits)
    server.origin.may_answer.clear()
    _, receipt = server.ask("POST", "/v1/operations", server.new("k1"))
    assert server.origin.is_called.wait(60.0)
    server.process.kill()
    server.origin.may_answer.set()
    again = serve(more=limits)
    again.until("GET", f"/v1/operations/{receipt['id']}", _is("succeeded"))
    assert server.origin.paths == ["/k1", "/k1"]


def test_sigterm_lets_calls_end_and_says_that_it_drains(serve: Serve) -> None:
    server = serve()
    server.origin.may_answer.clear()
    _, receipt = server.ask("POST", "/v1/operations", server.new("k1"))
    assert server.origin.is_called.wait(60.0)
    server.process.send_signal(signal.SIGTERM)
    server.until("GET", "/readyz", _drains)
    refused, problem = server.ask("POST", "/v1/operations", server.new("k2"))
    assert (refused, problem["code"]) == (503, "refused")
    server.origin.may_answer.set()
    assert server.process.wait(60.0) == 0
    again = serve()
    _, shown = again.ask("GET", f"/v1/operations/{receipt['id']}")
    assert (shown["state"], server.origin.paths) == ("succeeded", ["/k1"])


def test_a_permit_is_ended_while_it_drains_and_none_is_given(serve: Serve) -> None:
    server = serve()
    server.origin.may_answer.clear()
    server.ask("POST", "/v1/operations", server.new("k1"))
    assert server.origin.is_called.wait(60.0)
    wanted = {"dependency": "vm@eastus"}
    _, permit = server.ask("POST", "/v1/permits", wanted)
    server.process.send_signal(signal.SIGTERM)
    server.until("GET", "/readyz", _drains)
    refused, _ = server.ask("POST", "/v1/permits", wanted)
    ended, _ = server.ask("POST", f"/v1/permits/{permit['id']}/outcome", {"kind": "ok"})
    assert (refused, ended) == (503, 204)


def test_a_second_sigterm_cuts_calls_off(serve: Serve) -> None:
    server = serve(more="[operations]\nclose_s = 600")
    server.origin.may_answer.clear()
    server.ask("POST", "/v1/operations", server.new("k1"))
    assert server.origin.is_called.wait(60.0)
    server.process.send_signal(signal.SIGTERM)
    server.until("GET", "/readyz", _drains)
    status, logged = server.stop()
    assert status == 1
    assert "event='server.cut_off'" in logged


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_server_without_work_stops_at_once(
    serve: Serve, number: signal.Signals, status: int
) -> None:
    assert serve().stop(number)[0] == status


def test_sighup_reads_the_tokens_again(serve: Serve) -> None:
    server = serve()
    (server.folder / "tokens").write_text(f"bob admin {'b' * 40}\n")
    server.process.send_signal(signal.SIGHUP)
    for _ in range(10_000):
        status, _ = server.ask("GET", "/v1/audit", token="b" * 40)
        if status == 200:
            break
    assert server.ask("GET", "/v1/audit")[0] == 401


def test_two_servers_share_one_postgresql(serve: Serve, database: str) -> None:
    store = f'store = "{database}"'
    first, second = serve(store), serve(store)
    known = list[str]()
    for number in range(20):
        server = (first, second)[number % 2]
        status, receipt = server.ask("POST", "/v1/operations", server.new(f"k{number}"))
        assert status == 201
        known.append(receipt["id"])
    assert first.ask("POST", "/v1/operations", first.new("k1"))[1]["is_new"] is False
    for one in known:
        second.until("GET", f"/v1/operations/{one}", _is("succeeded"))
    assert sorted(first.origin.paths) == sorted(f"/k{number}" for number in range(20))


def test_what_is_held_by_one_is_held_by_the_other(serve: Serve, database: str) -> None:
    store = f'store = "{database}"'
    first, second = serve(store), serve(store)
    assert first.ask("PUT", "/v1/holds/all", {"reason": "INC-1"})[0] == 200
    (hold,) = second.ask("GET", "/v1/holds")[1]["holds"]
    assert (hold["by"], hold["reason"]) == ("alice", "INC-1")


def test_without_tokens_it_reads_and_takes_no_work(serve: Serve) -> None:
    server = serve()
    assert server.ask("GET", "/v1/counts", token="")[0] == 200
    assert server.ask("POST", "/v1/operations", server.new("k1"), token="")[0] == 401


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[serve]\nhost = "0.0.0.0"', "name a file of tokens, or listen on loopback"),
        ('[serve]\ntokens = "absent"', "absent: cannot be read: No such file"),
        ("[serve]\nport = 65536", "serve.port = 65536"),
        ('store = "postgresql://u:secret@h/d"', "PGPASSWORD"),
        ('store = "postgresql://h/d?password=secret"', "PGPASSWORD"),
    ],
)
def test_a_file_that_cannot_be_used_is_bad_input(
    run: Run, tmp_path: Path, text: str, said: str
) -> None:
    (tmp_path / "surgetank.toml").write_text(f'directory = "state"\n{text}\n')
    answer = run("serve")
    assert said in answer.stderr
    assert "secret" not in answer.stderr
    assert (answer.returncode, answer.stdout) == (2, "")


def test_an_address_in_use_is_bad_input(serve: Serve, run: Run, tmp_path: Path) -> None:
    port = serve().url.rpartition(":")[2]
    (tmp_path / "surgetank.toml").write_text(f'directory = "other"\n[serve]\nport = {port}\n')
    answer = run("serve", "--json")
    error = json.loads(answer.stdout)["error"]
    assert answer.returncode == 2
    assert error["message"] == f"cannot listen on 127.0.0.1 port {port}: Address already in use"

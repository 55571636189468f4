import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Serve = Callable[..., Any]
Run = Callable[..., "subprocess.CompletedProcess[str]"]
LATER = "2999-01-01T00:00:00Z"


def _line(key: str | None, **changes: Any) -> str:
    step = {"name": "vm", "dependency": "compute@eastus", "arguments": {"url": "http://h/"}}
    new = {"kind": "create_vm", "region": "eastus", "steps": [step], "run_at": LATER}
    return json.dumps({**new, **({} if key is None else {"key": key}), **changes})


def _has_succeeded(_: int, body: Any) -> bool:
    return bool(body["state"] == "succeeded")


def _all_have_succeeded(_: int, body: Any) -> bool:
    return bool(body["states"]["succeeded"] == 5)


@pytest.fixture
def store(run: Run, tmp_path: Path) -> Run:
    """Run `surgetank op` on a store of three operations, beside the file that was submitted."""
    (tmp_path / "many.jsonl").write_text("\n".join(_line(f"k{number}") for number in range(3)))
    on_store = ("--store", "operations.db")
    _known(run("op", "submit", "many.jsonl", *on_store, "--json"))
    return lambda *words: run("op", *words, *on_store)


def _known(answer: "subprocess.CompletedProcess[str]") -> Any:
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


def test_a_file_is_submitted_shown_listed_and_counted(serve: Serve) -> None:
    server = serve()
    (server.folder / "op.json").write_text(json.dumps(server.new("k1")))
    (receipt,) = _known(server.op("submit", "op.json", "--json"))["operations"]
    path = f"/v1/operations/{receipt['id']}"
    server.until("GET", path, _has_succeeded)
    assert _known(server.op("show", receipt["id"], "--json"))["key"] == "k1"
    listed = _known(server.op("list", "--state", "succeeded", "--json"))["operations"]
    assert [one["id"] for one in listed] == [receipt["id"]]
    assert _known(server.op("counts", "--json"))["states"]["succeeded"] == 1


def test_hold_all_and_release_in_steps(serve: Serve) -> None:
    server = serve()
    _known(server.op("hold", "--all", "--reason", "INC-1", "--json"))
    lines = "\n".join(json.dumps(server.new(f"k{number}")) for number in range(5))
    _known(server.op("submit", "-", "--json", stdin=lines))
    held = server.op("holds").stdout
    assert ("INC-1" in held, "alice" in held, server.origin.paths) == (True, True, [])
    answer = server.op("release", "--all", "--in-steps", "2", "--every", "0.1")
    assert answer.returncode == 0
    assert answer.stderr.splitlines()[0] == "step 1: 2 let go, 2 in all"
    assert answer.stdout == "the hold is lifted after 5 let go one by one\n"
    server.until("GET", "/v1/counts", _all_have_succeeded)


def test_the_keyboard_stops_a_release_between_two_steps(serve: Serve, command: Path) -> None:
    server = serve()
    _known(server.op("hold", "--all", "--json"))
    lines = "\n".join(json.dumps(server.new(f"k{number}")) for number in range(3))
    _known(server.op("submit", "-", "--json", stdin=lines))
    words = ["op", "release", "--all", "--in-steps", "1", "--every", "3600"]
    environment = os.environ | {"SURGETANK_URL": server.url, "SURGETANK_TOKEN": "t" * 40}
    process = subprocess.Popen(  # noqa: S603 - our own command
        [command, *words], env=environment, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    assert process.stderr.readline() == "step 1: 1 let go, 1 in all\n"
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert said == "stopped after 1: the others stay held\nsurgetank: interrupted\n"
    assert process.returncode == 130
    assert len(server.ask("GET", "/v1/holds")[1]["holds"]) == 1


def test_an_act_is_in_the_audit_trail_by_the_tokens_name(serve: Serve) -> None:
    server = serve()
    _known(server.op("hold", "--region", "eastus", "--json"))
    entries = server.ask("GET", "/v1/audit")[1]["entries"]
    assert [(one["who"], one["status"]) for one in entries] == [("alice", None), ("alice", 200)]


def test_a_store_is_used_without_a_server(store: Run) -> None:
    listed = _known(store("list", "--json"))["operations"]
    assert [one["key"] for one in listed] == ["k0", "k1", "k2"]
    (cancelled,) = _known(store("cancel", listed[0]["id"], "--json"))["operations"]
    assert cancelled["state"] == "cancelled"
    _known(store("hold", "--kind", "create_vm", "--json"))
    assert _known(store("release", "--kind", "create_vm", "--json"))["is_lifted"] is True


def test_the_same_file_again_is_known(store: Run) -> None:
    again = _known(store("submit", "many.jsonl", "--json"))["operations"]
    assert [one["is_new"] for one in again] == [False, False, False]


def test_a_list_goes_on_past_a_page(run: Run, tmp_path: Path) -> None:
    lines = "\n".join(_line(f"k{number}") for number in range(210))
    (tmp_path / "many.jsonl").write_text(lines)
    run("op", "submit", "many.jsonl", "--store", "operations.db")
    answer = run("op", "list", "--limit", "205", "--store", "operations.db", "--json")
    assert len(_known(answer)["operations"]) == 205


def test_one_without_a_key_gets_a_time_ordered_one(run: Run, tmp_path: Path) -> None:
    (tmp_path / "op.json").write_text(_line(None))
    answer = run("op", "submit", "op.json", "--store", "operations.db", "--json")
    (receipt,) = _known(answer)["operations"]
    assert receipt["key"].replace("-", "") == receipt["id"]
    assert receipt["key"][14] == "7"


def test_tables_for_people(store: Run) -> None:
    receipts = store("submit", "many.jsonl").stdout
    assert receipts.split()[:3] == ["id", "key", "new"]
    identifier = receipts.splitlines()[1].split()[0]
    shown = store("show", identifier).stdout
    assert "compute@eastus" in shown
    assert store("list").stdout.split()[:3] == ["id", "state", "kind"]
    assert store("counts").stdout.splitlines()[1].split() == ["ready", "3"]
    assert store("holds").stdout == "nothing is held\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no operation"),
        ("[]", "a JSON object, or one on each line"),
        ("{", "line 1"),
        (f"{_line('k1')}\nnonsense", "line 2"),
        (f"{_line('k1')}\n{_line(None)}", "a key for each of several"),
        (_line("k1", colour="red"), "colour: Extra inputs are not permitted"),
        (_line("k1", steps=[]), "steps: List should have at least 1 item"),
    ],
)
def test_a_file_that_cannot_be_submitted_is_bad_input(
    run: Run, tmp_path: Path, text: str, said: str
) -> None:
    (tmp_path / "op.json").write_text(text)
    answer = run("op", "submit", "op.json", "--store", "operations.db")
    assert said in answer.stderr
    assert (answer.returncode, answer.stdout) == (2, "")


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("show", "absent"), 2, "no operation 'absent' is stored"),
        (("redrive", "absent"), 2, "no operation 'absent' is stored"),
        (("release", "--all"), 2, "nothing holds all"),
        (("hold",), 2, "one of --all, --dependency, --region and --kind"),
        (("hold", "--all", "--kind", "k"), 2, "one of --all"),
        (("release", "--all", "--every", "5"), 2, "--every goes with --in-steps"),
        (("list", "--limit", "100001"), 2, "--limit"),
        (("list", "--server", "http://h", "--store", "x.db"), 2, "--store goes without --server"),
    ],
)
def test_an_answer_that_is_no_has_its_status(
    store: Run,
    words: tuple[str, ...],
    status: int,
    said: str,
) -> None:
    answer = store(*words)
    assert said in answer.stderr
    assert answer.returncode == status


def test_a_store_that_is_not_there_is_not_made_by_reading(run: Run, tmp_path: Path) -> None:
    answer = run("op", "list", "--store", "absent.db")
    assert answer.stderr == "surgetank: absent.db: there is no such file\n"
    assert (answer.returncode, list(tmp_path.iterdir())) == (2, [])


def test_a_server_that_is_away_is_told(run: Run) -> None:
    answer = run("op", "counts", "--server", "http://127.0.0.1:1", "--json")
    assert json.loads(answer.stdout)["error"]["code"] == "dependency"
    assert answer.returncode == 1


def test_who_has_no_token_is_refused(serve: Serve, run: Run, tmp_path: Path) -> None:
    (tmp_path / "op.json").write_text(_line("k1"))
    answer = run("op", "submit", "op.json", SURGETANK_URL=serve().url)
    assert "send a token of role work" in answer.stderr
    assert answer.returncode == 1


def test_a_conflict_has_its_code(store: Run, tmp_path: Path) -> None:
    (tmp_path / "many.jsonl").write_text(_line("k1", kind="other"))
    answer = store("submit", "many.jsonl", "--json")
    assert json.loads(answer.stdout)["error"]["code"] == "conflict"
    assert answer.returncode == 1

"""The command is told to stop, ends what was begun, and leaves nothing behind."""

import json
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    from tests.live.standin.conftest import Answer, Start, Town

MACHINE = "/subscriptions/0/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/m"


class HeldPoll:
    """A poll of an operation that never ends, under way when this is made."""

    def __init__(self, town: "Town", *, wait_s: int) -> None:
        town.ask("management", MACHINE, method="PUT", body=b"{}")
        path = f"{MACHINE}/extensions/e"
        begun = town.ask("management", path, method="PUT", body=b"{}")
        self._path = urlsplit(begun.headers["azure-asyncoperation"]).path
        self._headers = {"prefer": f"wait={wait_s}"}
        self._answers: list[Answer] = []
        self._thread = threading.Thread(target=self._ask, args=(town,))
        self._thread.start()
        while not town.state()["in_flight"]["management"]:
            pass

    def _ask(self, town: "Town") -> None:
        self._answers.append(town.ask("management", self._path, headers=self._headers))

    def end(self) -> "Answer":
        self._thread.join()
        return self._answers[0]


class Ended(NamedTuple):
    """A stand-in that was told to stop, and what was seen of it."""

    town: "Town"
    readyz: "Answer"
    healthz: "Answer"
    poll: "Answer"
    exit: tuple[int, str, str]


@pytest.fixture(scope="module")
def ended(start_for_module: "Start") -> Ended:
    """Told to stop by SIGTERM while a client waits for an answer."""
    town = start_for_module("--boot", "3600")
    held = HeldPoll(town, wait_s=2)
    town.process.send_signal(signal.SIGTERM)
    while (readyz := town.ask("control", "/readyz")).status == 200:
        pass
    healthz = town.ask("control", "/healthz")
    poll = held.end()
    return Ended(town, readyz, healthz, poll, town.stop())


def test_what_stops_is_not_ready(ended: Ended) -> None:
    assert (ended.readyz.status, ended.readyz.document()) == (503, {"status": "stopping"})


def test_what_stops_is_alive(ended: Ended) -> None:
    assert ended.healthz.status == 200


def test_what_was_begun_is_ended(ended: Ended) -> None:
    assert (ended.poll.status, ended.poll.document()) == (200, {"status": "InProgress"})


def test_an_end_that_was_asked_for_is_done_in_silence(ended: Ended) -> None:
    assert ended.exit == (0, "", "")


def test_nothing_is_left_on_disk(ended: Ended) -> None:
    assert list(ended.town.scratch.iterdir()) == []


def test_nothing_is_served_any_more(ended: Ended) -> None:
    for service in ended.town.told["endpoints"]:
        with pytest.raises(ConnectionRefusedError):
            ended.town.ask(service, "/")


@pytest.fixture(scope="module")
def interrupted(start_for_module: "Start") -> tuple["Town", int, str, str]:
    """On the other loopback address, stopped from the keyboard."""
    town = start_for_module("--host", "::1")
    assert town.ask("control", "/healthz").status == 200
    return (town, *town.stop(signal.SIGINT))


def test_the_keyboard_stops_it(interrupted: tuple["Town", int, str, str]) -> None:
    _, status, said, complained = interrupted
    assert (status, complained) == (130, "")
    assert json.loads(said)["error"]["code"] == "interrupted"


def test_the_keyboard_leaves_nothing_on_disk(interrupted: tuple["Town", int, str, str]) -> None:
    town, *_ = interrupted
    assert list(town.scratch.iterdir()) == []


def test_what_does_not_end_is_answered_503(start: "Start") -> None:
    town = start("--boot", "3600")
    held = HeldPoll(town, wait_s=3600)
    assert town.stop() == (0, "", "")
    assert held.end().status == 503


def test_copies_in_a_named_folder_outlive_it(start: "Start", tmp_path: Path) -> None:
    copies = str(tmp_path / "copies")
    first = start("--data", copies)
    body = first.ask("mirror", first.package).body
    assert first.stop()[0] == 0
    second = start("--data", copies)
    second.act("/faults/policy")
    assert second.ask("blob", second.package).status == 409
    assert second.ask("mirror", second.package).body == body

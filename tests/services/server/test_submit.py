import json
from collections.abc import Callable
from typing import Any

import pytest

Play = Callable[..., None]
STEP: dict[str, Any] = {"name": "vm", "dependency": "compute@eastus", "arguments": {"url": "u"}}
NEW: dict[str, Any] = {"key": "k1", "kind": "create_vm", "region": "eastus", "steps": [STEP]}


def test_what_is_submitted_is_stored_and_says_where(play: Play) -> None:
    async def main(world: Any) -> None:
        answer = await world.ask("POST", "/v1/operations", NEW)
        assert answer.status == 201
        shown = await world.ask("GET", answer.headers["location"])
        assert (shown.body["key"], shown.body["kind"]) == ("k1", "create_vm")

    play(main)


def test_the_same_again_is_known(play: Play) -> None:
    async def main(world: Any) -> None:
        first = await world.ask("POST", "/v1/operations", NEW)
        again = await world.ask("POST", "/v1/operations", NEW)
        assert (again.status, again.body["is_new"]) == (200, False)
        assert again.body["id"] == first.body["id"]

    play(main)


def test_one_key_for_another_body_is_a_conflict(play: Play) -> None:
    async def main(world: Any) -> None:
        await world.ask("POST", "/v1/operations", NEW)
        other = await world.ask("POST", "/v1/operations", {**NEW, "kind": "scale"})
        assert (other.status, other.body["code"]) == (409, "conflict")

    play(main)


@pytest.mark.parametrize("header", ["k9", '"k9"'])
def test_the_key_may_stand_in_a_header(play: Play, header: str) -> None:
    body = {name: value for name, value in NEW.items() if name != "key"}

    async def main(world: Any) -> None:
        answer = await world.ask("POST", "/v1/operations", body, idempotency_key=header)
        assert answer.body["key"] == "k9"

    play(main)


def test_two_keys_that_differ_are_a_conflict(play: Play) -> None:
    async def main(world: Any) -> None:
        answer = await world.ask("POST", "/v1/operations", NEW, idempotency_key="other")
        assert answer.status == 409

    play(main)


def test_without_a_key_nothing_is_stored_and_the_answer_says_why(play: Play) -> None:
    async def main(world: Any) -> None:
        answer = await world.ask("POST", "/v1/operations", {**NEW, "key": None})
        assert answer.status == 400
        assert "an operation needs an idempotency key" in answer.body["detail"]
        counts = await world.ask("GET", "/v1/counts")
        assert sum(counts.body["states"].values()) == 0

    play(main)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"key": "k" * 201}, "key: String should have at most 200 characters"),
        ({"key": ""}, "key: String should have at least 1 character"),
        ({"kind": "k" * 101}, "kind: String should have at most 100 characters"),
        ({"region": 7}, "region: Input should be a valid string"),
        ({"steps": []}, "steps: List should have at least 1 item"),
        ({"steps": [STEP] * 33}, "steps: List should have at most 32 items"),
        ({"steps": [STEP, STEP]}, "two steps of one name"),
        ({"steps": [{**STEP, "name": "n" * 101}]}, "steps.0.name: String should have at most 100"),
        ({"steps": [{**STEP, "action": "none"}]}, "no action is named 'none'"),
        ({"steps": [{**STEP, "arguments": "x" * 65536}]}, "exceed 65536 bytes"),
        ({"priority": 10}, "priority: Input should be less than or equal to 9"),
        ({"priority": "1"}, "priority: Input should be a valid integer"),
        ({"subject": "s" * 201}, "subject: String should have at most 200 characters"),
        ({"deadline_at": "soon"}, "deadline_at: Input should be a valid datetime"),
        ({"deadline_at": "2026-02-02T00:00:00"}, "timezone"),
        ({"colour": "red"}, "colour: Extra inputs are not permitted"),
    ],
)
def test_what_cannot_be_run_is_refused_with_its_key(
    play: Play, change: dict[str, Any], said: str
) -> None:
    async def main(world: Any) -> None:
        answer = await world.ask("POST", "/v1/operations", {**NEW, **change})
        assert (answer.status, answer.body["code"]) == (400, "invalid_input")
        assert said in answer.body["detail"]

    play(main)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b'"\\ud800"', b"\xff", b"[" * 100_000, b"1" * 10_000]
)
def test_what_is_no_object_is_refused(play: Play, content: bytes) -> None:
    async def main(world: Any) -> None:
        answer = await world.ask("POST", "/v1/operations", content)
        assert answer.status == 400

    play(main)


def test_a_body_of_another_type_is_refused(play: Play) -> None:
    async def main(world: Any) -> None:
        content = json.dumps(NEW).encode()
        answer = await world.ask("POST", "/v1/operations", content, content_type="text/plain")
        assert (answer.status, answer.body["code"]) == (415, "unsupported_media_type")

    play(main)


def test_instants_are_read_and_written_in_utc(play: Play) -> None:
    async def main(world: Any) -> None:
        times = {"run_at": "2026-02-03T01:00:00+01:00", "deadline_at": "2026-02-03T02:00:00Z"}
        identifier = await world.submit("k1", **times)
        shown = (await world.ask("GET", f"/v1/operations/{identifier}")).body
        assert shown["run_at"] == "2026-02-03T00:00:00.000Z"
        assert shown["deadline_at"] == "2026-02-03T02:00:00.000Z"

    play(main)


def test_steps_are_shown_as_they_were_given(play: Play) -> None:
    given = {**STEP, "is_optional": True, "fallback": {"url": "v"}, "arguments": [1, "é", None]}

    async def main(world: Any) -> None:
        identifier = await world.submit("k1", steps=[given])
        (step,) = (await world.ask("GET", f"/v1/operations/{identifier}")).body["steps"]
        assert {name: step[name] for name in given} == given

    play(main)


def test_what_was_submitted_runs(play: Play) -> None:
    async def main(world: Any) -> None:
        identifier = await world.submit("k1")
        await world.pass_s(10.0)
        shown = (await world.ask("GET", f"/v1/operations/{identifier}")).body
        assert shown["state"] == "succeeded"
        assert [request.url for request in world.origin.requests] == ["http://compute/k1"]

    play(main)

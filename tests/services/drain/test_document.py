"""The JSON follows the schema that is published, and says all that it takes to play a run again."""

import json
from collections.abc import Callable
from typing import Any, cast

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # it ships no types

from surgetank.rehearsal.drain.document import Document, document_schema, published
from surgetank.rehearsal.drain.summary import Case, Run, build
from surgetank.rehearsal.drain.world import World


@pytest.fixture
def document(world: Callable[..., World], run: Callable[..., Run]) -> dict[str, Any]:
    schedule = [{"at_s": 0, "capacity_ratio": 0.2}, {"at_s": 50, "unseen_ratio": 0.1}]
    case = Case("plain", world(schedule=schedule), [1], 300_000)
    runs = [run(law=law, drained_s=None) for law in ("aimd", "aimd+breaker")]
    return build([case], runs).model_dump(mode="json", by_alias=True)


def valid(document: object) -> bool:
    validator = cast("Any", Draft202012Validator)
    return bool(validator(json.loads(published())).is_valid(document))


def test_the_schema_that_ships_is_current() -> None:
    assert published() == json.dumps(document_schema(), indent=2) + "\n", (
        "write it anew: python -m surgetank.rehearsal.drain.document "
        "> src/surgetank/rehearsal/drain/drain-bench-v1.schema.json"
    )


def test_a_document_follows_the_schema(document: dict[str, Any]) -> None:
    assert valid(json.loads(json.dumps(document)))


def test_a_key_that_the_schema_does_not_have_is_an_error(document: dict[str, Any]) -> None:
    document["laws"]["aimd"]["worlds"]["plain"]["speed"] = 1
    assert not valid(document)


def test_a_name_that_no_law_can_have_is_an_error(document: dict[str, Any]) -> None:
    document["laws"]["No Law"] = document["laws"]["aimd"]
    assert not valid(document)


def test_a_document_names_its_form_and_the_figures_of_every_world(
    document: dict[str, Any],
) -> None:
    assert document["schema"] == "surgetank/drain-bench/v1"
    found = document["laws"]["aimd"]["worlds"]["plain"]
    keys = {"drained", "ratio", "fresh_success", "overload_s", "wasted_ratio"}
    assert keys <= found.keys()


def test_a_document_reads_back_as_it_was(document: dict[str, Any]) -> None:
    read = Document.model_validate_json(json.dumps(document))
    assert read.model_dump(mode="json", by_alias=True) == document


def test_a_world_can_be_played_again_from_the_document(
    document: dict[str, Any], world: Callable[..., World]
) -> None:
    schedule = [{"at_s": 0, "capacity_ratio": 0.2}, {"at_s": 50, "unseen_ratio": 0.1}]
    played = document["worlds"]["plain"]
    assert World.model_validate(played["keys"]) == world(schedule=schedule)
    assert played["requests_max"] == 300_000

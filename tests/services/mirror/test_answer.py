"""Conditions and ranges: a plain 200 unless the client asks for something else."""

from dataclasses import replace

import pytest

from surgetank.core.http import Request
from surgetank.safeguards.mirror.answer import Head, answer
from surgetank.safeguards.mirror.entry import Entry

ENTRY = Entry(
    url="https://origin/p.zip",
    digest="d" * 64,
    size=100,
    content_type="",
    content_encoding="",
    etag='"origin"',
    fetched_at=0.0,
    checked_at=1_000.0,
    used_at=0.0,
)
TAG = f'"{ENTRY.digest}"'


def ask(*, method: str = "GET", **headers: str) -> Head:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = Request(method, "origin", "/p.zip", headers=named)
    return answer(request, ENTRY, source="hit", now=1_010.9)


def test_a_plain_request_gets_a_plain_200() -> None:
    assert ask() == Head(
        200,
        {
            "etag": TAG,
            "age": "10",
            "x-surgetank-source": "hit",
            "content-type": "application/octet-stream",
            "accept-ranges": "bytes",
            "content-length": "100",
        },
        0,
        100,
    )


def test_a_clock_behind_the_record_gives_no_negative_age() -> None:
    head = answer(Request("GET", "origin", "/"), ENTRY, source="hit", now=0.0)
    assert head.headers["age"] == "0"


def test_an_encoding_is_told() -> None:
    entry = replace(ENTRY, content_encoding="gzip")
    head = answer(Request("GET", "origin", "/"), entry, source="hit", now=0.0)
    assert head.headers["content-encoding"] == "gzip"


@pytest.mark.parametrize("condition", [TAG, f"W/{TAG}", "*", f'"x", {TAG}'])
def test_a_client_that_has_it_gets_304(condition: str) -> None:
    head = ask(if_none_match=condition)
    assert (head.status, head.stop) == (304, 0)
    assert "content-length" not in head.headers


@pytest.mark.parametrize("condition", ['"origin"', "", 'x, "y"'])
def test_a_client_that_has_something_else_gets_all_of_it(condition: str) -> None:
    assert ask(if_none_match=condition).status == 200


@pytest.mark.parametrize(
    ("wanted", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=10-19", 10, 20),
        ("bytes=10-", 10, 100),
        ("bytes=-10", 90, 100),
        ("bytes=-1000", 0, 100),
        ("bytes=99-1000", 99, 100),
    ],
)
@pytest.mark.parametrize("name", ["range", "x_ms_range"])
def test_a_range_gets_206(name: str, wanted: str, start: int, stop: int) -> None:
    head = ask(**{name: wanted})
    assert (head.status, head.start, head.stop) == (206, start, stop)
    assert head.headers["content-range"] == f"bytes {start}-{stop - 1}/100"
    assert head.headers["content-length"] == str(stop - start)


@pytest.mark.parametrize("wanted", ["bytes=100-", "bytes=200-300", "bytes=-0"])
def test_a_range_outside_gets_416(wanted: str) -> None:
    head = ask(range=wanted)
    assert (head.status, head.headers["content-range"]) == (416, "bytes */100")
    assert head.headers["content-length"] == str(len(head.error))


def test_a_range_outside_is_refused_in_the_words_of_storage() -> None:
    entry = replace(ENTRY, content_type="application/zip", content_encoding="gzip")
    request = Request("GET", "origin", "/p.zip", headers={"x-ms-range": "bytes=100-"})
    head = answer(request, entry, source="hit", now=0.0)
    assert head.headers["x-ms-error-code"] == "InvalidRange"
    assert head.headers["content-type"] == "application/xml"
    assert "content-encoding" not in head.headers
    assert head.error.startswith(b'<?xml version="1.0" encoding="utf-8"?><Error><Code>InvalidRange')


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_parts_of_another_body_are_refused(method: str) -> None:
    head = ask(method=method, if_match='"other"', range="bytes=0-1")
    assert (head.status, head.stop) == (412, 0)
    assert head.headers["x-ms-error-code"] == "ConditionNotMet"


@pytest.mark.parametrize("condition", [TAG, "*", f'"x", {TAG}'])
def test_parts_of_the_same_body_are_given(condition: str) -> None:
    assert ask(if_match=condition, range="bytes=0-1").status == 206


@pytest.mark.parametrize(
    "wanted",
    ["bytes=5-4", "bytes=-", "bytes=0-1,5-6", "items=0-1", "bytes=x", f"bytes={'9' * 30}-"],
)
def test_a_range_that_is_not_understood_is_ignored(wanted: str) -> None:
    assert ask(range=wanted).status == 200


@pytest.mark.parametrize(("validator", "status"), [(TAG, 206), ('"other"', 200)])
def test_a_resumed_transfer_must_be_of_the_same_bytes(validator: str, status: int) -> None:
    assert ask(range="bytes=1-", if_range=validator).status == status


def test_head_has_a_length_and_no_span() -> None:
    head = ask(method="HEAD", range="bytes=0-1")
    assert (head.status, head.headers["content-length"], head.stop) == (200, "100", 0)

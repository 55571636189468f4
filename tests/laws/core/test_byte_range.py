"""Parts of bodies: what a client asks for, and what is ignored."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surgetank.core.byte_range import INVALID_RANGE, Span, asked_span
from surgetank.core.http import Headers, Request

TAG = '"0x1"'
SIZE = 100


def ask(headers: Headers, *, size: int = SIZE, method: str = "GET") -> Span | None:
    return asked_span(Request(method, "h", "/", headers=headers), size=size, etag=TAG)


@pytest.mark.parametrize(
    ("wanted", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=10-19", 10, 20),
        ("bytes=10-", 10, 100),
        ("bytes=0-99", 0, 100),
        ("bytes=99-100", 99, 100),
        ("bytes=99-1000", 99, 100),
        ("bytes=-1", 99, 100),
        ("bytes=-100", 0, 100),
        ("bytes=-1000", 0, 100),
        (" bytes=1-2 ", 1, 3),
        ("Bytes=1-2", 1, 3),
    ],
)
@pytest.mark.parametrize("name", ["range", "x-ms-range"])
def test_one_range_is_understood(name: str, wanted: str, start: int, stop: int) -> None:
    span = ask({name: wanted})
    assert span is not None
    assert span == Span(start, stop, SIZE)
    assert not span.is_empty


@pytest.mark.parametrize("wanted", ["bytes=100-", "bytes=100-100", "bytes=200-300", "bytes=-0"])
def test_a_range_beyond_the_body_is_empty(wanted: str) -> None:
    span = ask({"range": wanted})
    assert span is not None
    assert span.is_empty


@pytest.mark.parametrize("wanted", ["bytes=0-", "bytes=0-0", "bytes=-1"])
def test_nothing_can_be_asked_of_an_empty_body(wanted: str) -> None:
    span = ask({"range": wanted}, size=0)
    assert span is not None
    assert span.is_empty


@pytest.mark.parametrize(
    "wanted",
    [
        "",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=5-4",
        "bytes=0-1,5-6",
        "bytes=a-b",
        "bytes=1- 2",
        "bytes=+1-2",
        "bytes=\u0661-\u0662",
        "items=0-1",
        f"bytes={'9' * 19}-",
        f"bytes=0-{'9' * 19}",
    ],
)
def test_what_is_not_understood_is_ignored(wanted: str) -> None:
    assert ask({"range": wanted}) is None


def test_what_nobody_asked_is_the_whole() -> None:
    assert ask({}) is None


def test_azures_own_header_wins() -> None:
    assert ask({"range": "bytes=0-1", "x-ms-range": "bytes=2-3"}) == (2, 4, SIZE)


def test_azures_own_header_wins_even_when_it_is_not_understood() -> None:
    assert ask({"range": "bytes=0-1", "x-ms-range": "bytes=x"}) is None


def test_an_empty_header_is_none() -> None:
    assert ask({"range": "bytes=0-1", "x-ms-range": ""}) == (0, 2, SIZE)


@pytest.mark.parametrize("method", ["HEAD", "PUT", "get"])
def test_only_a_get_has_parts(method: str) -> None:
    assert ask({"range": "bytes=0-1"}, method=method) is None


def test_a_resumed_read_of_the_same_body_gets_its_part() -> None:
    assert ask({"range": "bytes=1-", "if-range": TAG}) == (1, SIZE, SIZE)


@pytest.mark.parametrize("validator", ['"0x2"', "W/" + TAG, "", "Mon, 02 Feb 2026 18:03:00 GMT"])
def test_a_resumed_read_of_another_body_gets_the_whole(validator: str) -> None:
    assert ask({"range": "bytes=1-", "if-range": validator}) is None


def test_a_span_says_what_it_is_of() -> None:
    assert Span(2, 4, 10).content_range == "bytes 2-3/10"


def test_an_empty_span_says_how_long_the_body_is() -> None:
    assert Span(10, 10, 10).content_range == "bytes */10"


def test_what_cannot_be_given_is_refused_as_storage_does() -> None:
    assert INVALID_RANGE[:2] == (416, "InvalidRange")


@given(
    size=st.integers(0, 50),
    first=st.none() | st.integers(0, 60),
    last=st.none() | st.integers(0, 60),
)
def test_a_span_is_what_slicing_by_the_letter_of_the_standard_gives(
    size: int, first: int | None, last: int | None
) -> None:
    """RFC 9110, section 14.1.2, said by naming each position."""
    wanted_range = f"bytes={'' if first is None else first}-{'' if last is None else last}"
    span = ask({"range": wanted_range}, size=size)
    positions = list(range(size))
    if first is None:
        wanted = None if last is None else positions[size - min(size, last) :]
    elif last is None:
        wanted = [one for one in positions if one >= first]
    else:
        wanted = None if last < first else [one for one in positions if first <= one <= last]
    assert (None if span is None else positions[span.start : span.stop]) == wanted
    assert span is None or span.is_empty is (not wanted)


@given(wanted=st.text(max_size=40), size=st.integers(0, 1 << 40))
def test_no_text_asks_for_more_than_there_is(wanted: str, size: int) -> None:
    span = ask({"range": wanted}, size=size)
    assert span is None or (span.start >= 0 and span.stop <= size == span.size)


@given(size=st.integers(1, 1_000), piece=st.integers(1, 300))
def test_a_body_read_piece_by_piece_is_read_once(size: int, piece: int) -> None:
    """As an SDK does that downloads in chunks."""
    read: list[int] = []
    at = 0
    while at < size:
        span = ask({"x-ms-range": f"bytes={at}-{at + piece - 1}"}, size=size)
        assert span is not None
        read += range(span.start, span.stop)
        at = span.stop
    assert read == list(range(size))

"""Requests and responses as values."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surgetank.core.errors import InvalidInputError
from surgetank.core.http import NO_HEADERS, Request, Response, Timeouts


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("http://h", Request("GET", "h", "/")),
        ("http://h/", Request("GET", "h", "/")),
        ("https://h/a/b?c=d&e", Request("GET", "h", "/a/b", "c=d&e", scheme="https")),
        ("http://h:8080/a%20b", Request("GET", "h:8080", "/a%20b")),
        ("http://[::1]:80/", Request("GET", "[::1]:80", "/")),
        ("http://h?q", Request("GET", "h", "/", "q")),
        ("http://h/a#part", Request("GET", "h", "/a")),
    ],
)
def test_a_request_is_made_from_an_address(url: str, wanted: Request) -> None:
    assert Request.to("GET", url) == wanted


def test_a_request_carries_headers_and_a_body() -> None:
    request = Request.to("PUT", "http://h/a", headers={"x": "y"}, body=b"z")
    assert (request.method, request.headers, request.body) == ("PUT", {"x": "y"}, b"z")


@pytest.mark.parametrize("url", ["", "h/a", "/a", "//h/a", "ftp://h/a", "http://", "http:///a"])
def test_an_address_that_is_not_absolute_is_refused(url: str) -> None:
    with pytest.raises(InvalidInputError, match="not an absolute"):
        Request.to("GET", url)


def test_an_address_that_cannot_be_taken_apart_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="not a URL"):
        Request.to("GET", "http://[h")


@given(
    scheme=st.sampled_from(["http", "https"]),
    host=st.from_regex(r"[a-z][a-z0-9.-]{0,20}(:[0-9]{1,5})?", fullmatch=True),
    path=st.from_regex(r"/[A-Za-z0-9%._/-]{0,20}", fullmatch=True),
    query=st.from_regex(r"([A-Za-z0-9%._=&-]{1,20})?", fullmatch=True),
)
def test_a_request_gives_back_the_address_it_was_made_from(
    scheme: str, host: str, path: str, query: str
) -> None:
    url = f"{scheme}://{host}{path}{'?' if query else ''}{query}"
    assert Request.to("GET", url).url == url


def test_what_is_not_said_is_empty() -> None:
    assert Response(200) == Response(200, NO_HEADERS, b"", None)
    assert dict(NO_HEADERS) == {}


def test_headers_that_nobody_gave_cannot_be_changed_for_all() -> None:
    with pytest.raises(TypeError):
        Request("GET", "h", "/").headers["x"] = "y"  # type: ignore[index]  # that is the point


def test_a_client_waits_longer_for_an_answer_than_for_a_connection() -> None:
    assert Timeouts().connect_s < Timeouts().read_s

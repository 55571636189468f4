"""Accounts by host name and by path."""

import pytest

from surgetank.core.http import Request
from surgetank.rehearsal.standin.storage import by_host

HOSTS = {"a": "a.blob.core.windows.net", "b": "b.blob.core.windows.net"}


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("http://127.0.0.1:1/a/c/d", "http://a.blob.core.windows.net/c/d"),
        ("http://127.0.0.1:1/b/c/d?e=f", "http://b.blob.core.windows.net/c/d?e=f"),
        ("http://[::1]:1/a/c/d", "http://a.blob.core.windows.net/c/d"),
        ("http://127.0.0.1:1/a", "http://a.blob.core.windows.net/"),
        ("http://a.blob.core.windows.net/b/d", "http://a.blob.core.windows.net/b/d"),
        ("http://a.blob.core.windows.net:1/c/d", "http://a.blob.core.windows.net/c/d"),
        ("http://A.Blob.Core.Windows.Net/c/d", "http://a.blob.core.windows.net/c/d"),
        ("http://127.0.0.1:1/z/c/d", "http://127.0.0.1:1/z/c/d"),
        ("http://127.0.0.1:1/", "http://127.0.0.1:1/"),
    ],
)
def test_a_request_comes_to_the_host_of_its_account(url: str, wanted: str) -> None:
    assert by_host(Request.to("GET", url), HOSTS).url == wanted

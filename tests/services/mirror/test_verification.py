"""Only what looks like what it should be is kept."""

import pytest

from surgetank.safeguards.mirror.policy import Kind
from surgetank.safeguards.mirror.verification import MANIFEST_BYTES_MAX, find_flaw

BOMB = b"""<?xml version="1.0"?><!DOCTYPE r [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]>
<PluginVersionManifest>&b;</PluginVersionManifest>"""
GOOD = "<PluginVersionManifest><Plugins/></PluginVersionManifest>"


def find(body: bytes) -> str | None:
    return find_flaw(Kind.MANIFEST, head=body[:4], whole=body)


@pytest.mark.parametrize(
    "body",
    [
        GOOD.encode(),
        GOOD.encode("utf-8-sig"),
        GOOD.encode("utf-16"),
        b"<?xml version='1.0' encoding='utf-8'?>\n" + GOOD.encode(),
        b"<p:PluginVersionManifest xmlns:p='urn:p'/>",
    ],
)
def test_a_manifest_is_a_manifest(body: bytes) -> None:
    assert find(body) is None


@pytest.mark.parametrize(
    ("body", "flaw"),
    [
        (b"", "not well-formed"),
        (b"{}", "not well-formed"),
        (GOOD.encode()[:-3], "not well-formed"),
        (b"<Error><Code>PublicAccessNotPermitted</Code></Error>", "root is Error"),
        (b"<html/>", "root is html"),
        (BOMB, "document type"),
        (BOMB.decode().encode("utf-16"), "document type"),
        (b"<a>" * 100_000, "not well-formed"),
    ],
)
def test_what_is_no_manifest(body: bytes, flaw: str) -> None:
    assert flaw in (find(body) or "")


def test_a_manifest_has_a_largest_size() -> None:
    padding = b" " * (MANIFEST_BYTES_MAX - len(GOOD))
    assert find(GOOD.encode() + padding) is None
    assert find(GOOD.encode() + padding + b" ") == "manifest too large"
    assert find_flaw(Kind.MANIFEST, head=b"<Plu", whole=None) == "manifest too large"


@pytest.mark.parametrize(
    ("head", "is_package"), [(b"PK\x03\x04", True), (b"<htm", False), (b"", False)]
)
def test_a_package_begins_as_a_zip_does(head: bytes, *, is_package: bool) -> None:
    assert (find_flaw(Kind.PACKAGE, head=head, whole=None) is None) is is_package


def test_anything_is_anything() -> None:
    assert find_flaw(Kind.ANY, head=b"", whole=b"") is None

"""Extensions as their publisher puts them in place: a manifest and a package of each."""

from collections.abc import Sequence
from typing import NamedTuple

from surgetank.cloud.blob import Account
from surgetank.cloud.client import manifest

VERSION = "1.0.0"


class Published(NamedTuple):
    """Where one extension is read."""

    manifest: str
    """URL of its manifest."""
    package: str
    """URL of its package of `VERSION`."""


def publish(accounts: Sequence[Account], extensions: int, *, at: float = 0.0) -> list[Published]:
    """Put a manifest and a package of each extension in place, account after account in turn.

    Args:
        accounts: At least one.
        extensions: How many, in all.
        at: When, in seconds since 1970 UTC: the blobs' `Last-Modified`.
    """
    published: list[Published] = []
    for number in range(extensions):
        account = accounts[number % len(accounts)]
        body = b"PK\x03\x04" + f"{account.name} extension {number} {VERSION}".encode()
        package = account.put(f"/extension-{number}/{VERSION}.zip", body, at=at)
        listing = manifest({VERSION: package})
        path = f"/extension-{number}/manifest.xml"
        url = account.put(path, listing, content_type="application/xml", at=at)
        published.append(Published(url, package))
    return published

"""Extensions are put in place so that an agent finds its way from manifest to package."""

from surgetank.cloud.blob import Account
from surgetank.cloud.client import package_url
from surgetank.cloud.extension import VERSION, publish
from surgetank.core.http import Request, Response
from surgetank.runtime.simulation.loop import VirtualLoop, run

AT = 1_770_055_380.0


def read(account: Account, url: str) -> Response:
    async def main(_: VirtualLoop) -> Response:
        return await account.handle(Request.to("GET", url))

    return run(main)


def test_a_manifest_names_its_package() -> None:
    account = Account("a")
    (published,) = publish([account], 1)
    body = read(account, published.manifest).body
    assert package_url(body, version=VERSION) == published.package


def test_a_package_is_an_archive() -> None:
    account = Account("a")
    (published,) = publish([account], 1)
    assert read(account, published.package).body.startswith(b"PK\x03\x04")


def test_accounts_take_turns() -> None:
    accounts = [Account("a"), Account("b")]
    hosts = [Request.to("GET", one.package).host[0] for one in publish(accounts, 5)]
    assert hosts == ["a", "b", "a", "b", "a"]


def test_readers_are_told_since_when() -> None:
    account = Account("a")
    (published,) = publish([account], 1, at=AT)
    for url in published:
        told = read(account, url).headers["last-modified"]
        assert told == "Mon, 02 Feb 2026 18:03:00 GMT"

"""Storage accounts: what a reader is shown, and each refusal to the letter."""

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from surgetank.cloud.blob import Account
from surgetank.core.http import Response
from surgetank.core.policy import AccountAccess, ContainerAccess

if TYPE_CHECKING:
    from tests.services.cloud.conftest import Play, Stage

BODY = b"PK\x03\x04 package"
PUT_AT = 1_770_055_380.0
URL = "http://a.blob.core.windows.net/ext/1.0.0.zip"
OPEN = AccountAccess()
DISABLED = AccountAccess(allow_blob_public_access=False)
NO_NETWORK = AccountAccess(public_network_access="Disabled")
DENIED = AccountAccess(default_action="Deny")


def _account(access: AccountAccess = OPEN) -> Account:
    account = Account("a", access)
    account.put("/ext/1.0.0.zip", BODY, at=PUT_AT)
    account.containers["private"] = ContainerAccess.NONE
    return account


def _code(response: Response) -> str:
    """The code of an error, the same in its header and in its body."""
    root = ET.fromstring(response.body)  # noqa: S314 - our own
    code = root.findtext("Code", "")
    assert root.tag == "Error"
    assert code == response.headers["x-ms-error-code"]
    return code


def test_a_blob_is_read_as_it_was_put(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        response = await stage.call(_account().handle, "GET", URL)
        assert (response.status, response.body) == (200, BODY)
        headers = dict(response.headers)
        assert headers.pop("etag").startswith('"0x')
        assert headers == {
            "content-type": "application/octet-stream",
            "content-length": str(len(BODY)),
            "last-modified": "Mon, 02 Feb 2026 18:03:00 GMT",
            "accept-ranges": "bytes",
            "x-ms-blob-type": "BlockBlob",
            "x-ms-request-id": "00000001-001e-0000-0000-000000000000",
            "x-ms-version": "2024-11-04",
            "server": "Windows-Azure-Blob/1.0,Microsoft-HTTPAPI/2.0",
        }

    play(body)


def test_putting_a_blob_gives_its_address() -> None:
    account = Account("a")
    assert account.put("/ext/m.xml", b"<m/>") == "https://a.blob.core.windows.net/ext/m.xml"
    assert account.host == "a.blob.core.windows.net"


def test_putting_a_blob_opens_no_container_that_was_closed() -> None:
    account = _account()
    account.put("/private/p.zip", BODY)
    assert account.containers["private"] is ContainerAccess.NONE


def test_head_says_the_length_and_sends_nothing(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        response = await stage.call(_account().handle, "HEAD", URL)
        assert (response.status, response.body) == (200, b"")
        assert response.headers["content-length"] == str(len(BODY))

    play(body)


@pytest.mark.parametrize("held", ["{etag}", "W/{etag}", '"0x1", {etag}', "*"])
def test_a_reader_who_has_the_blob_is_sent_nothing(play: "Play", held: str) -> None:
    async def body(stage: "Stage") -> None:
        account = _account()
        etag = (await stage.call(account.handle, "GET", URL)).headers["etag"]
        headers = {"if-none-match": held.format(etag=etag)}
        response = await stage.call(account.handle, "GET", URL, headers=headers)
        assert (response.status, response.body, response.headers["etag"]) == (304, b"", etag)

    play(body)


def test_a_reader_who_has_an_older_blob_is_sent_the_new_one(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        account = _account()
        etag = (await stage.call(account.handle, "GET", URL)).headers["etag"]
        account.put("/ext/1.0.0.zip", b"newer")
        headers = {"if-none-match": etag}
        response = await stage.call(account.handle, "GET", URL, headers=headers)
        assert (response.status, response.body) == (200, b"newer")

    play(body)


@pytest.mark.parametrize(
    ("headers", "body", "content_range"),
    [
        ({"range": "bytes=2-5"}, BODY[2:6], "bytes 2-5/12"),
        ({"x-ms-range": "bytes=4-"}, BODY[4:], "bytes 4-11/12"),
        ({"x-ms-range": "bytes=0-0", "range": "bytes=2-5"}, BODY[:1], "bytes 0-0/12"),
    ],
)
def test_a_part_is_given_as_a_part(
    play: "Play", headers: dict[str, str], body: bytes, content_range: str
) -> None:
    async def story(stage: "Stage") -> None:
        response = await stage.call(_account().handle, "GET", URL, headers=headers)
        assert (response.status, response.body) == (206, body)
        assert response.headers["content-range"] == content_range
        assert response.headers["content-length"] == str(len(body))

    play(story)


def test_a_part_beyond_the_end_is_refused(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        account = _account()
        headers = {"x-ms-range": "bytes=12-"}
        response = await stage.call(account.handle, "GET", URL, headers=headers)
        assert (response.status, _code(response)) == (416, "InvalidRange")
        assert response.headers["content-range"] == "bytes */12"
        assert account.refused == 1

    play(body)


@pytest.mark.parametrize(("tag", "status"), [("{etag}", 206), ("*", 206), ('"0x1"', 412)])
def test_parts_of_one_read_are_of_one_blob(play: "Play", tag: str, status: int) -> None:
    async def body(stage: "Stage") -> None:
        account = _account()
        etag = (await stage.call(account.handle, "GET", URL)).headers["etag"]
        headers = {"range": "bytes=0-1", "if-match": tag.format(etag=etag)}
        response = await stage.call(account.handle, "GET", URL, headers=headers)
        assert response.status == status

    play(body)


@pytest.mark.parametrize(("method", "has_body"), [("GET", True), ("HEAD", False)])
def test_a_condition_that_is_not_met_is_refused(
    play: "Play", method: str, *, has_body: bool
) -> None:
    async def body(stage: "Stage") -> None:
        response = await stage.call(_account().handle, method, URL, headers={"if-match": '"0x1"'})
        assert (response.status, response.headers["x-ms-error-code"]) == (412, "ConditionNotMet")
        assert bool(response.body) is has_body

    play(body)


REFUSALS = [
    ("public access disabled", DISABLED, "GET", "/ext/1.0.0.zip", 409, "PublicAccessNotPermitted"),
    ("no public network", NO_NETWORK, "GET", "/ext/1.0.0.zip", 403, "AuthorizationFailure"),
    ("network rules", DENIED, "GET", "/ext/1.0.0.zip", 403, "AuthorizationFailure"),
    ("private container", OPEN, "GET", "/private/p.zip", 404, "ResourceNotFound"),
    ("no container", OPEN, "GET", "/none/p.zip", 404, "ResourceNotFound"),
    ("no name", OPEN, "GET", "/", 404, "ResourceNotFound"),
    ("no blob", OPEN, "GET", "/ext/2.0.0.zip", 404, "BlobNotFound"),
    ("a write", OPEN, "PUT", "/ext/1.0.0.zip", 405, "UnsupportedHttpVerb"),
    ("disabled, missing", DISABLED, "GET", "/none/p.zip", 409, "PublicAccessNotPermitted"),
]
ROWS = [pytest.param(*row[1:], id=row[0]) for row in REFUSALS]
READS = [pytest.param(row[1], *row[3:], id=row[0]) for row in REFUSALS if row[2] == "GET"]


@pytest.mark.parametrize(("access", "method", "path", "status", "code"), ROWS)
def test_each_refusal_is_the_documented_one(
    play: "Play", access: AccountAccess, method: str, path: str, status: int, code: str
) -> None:
    async def body(stage: "Stage") -> None:
        account = _account(access)
        response = await stage.call(account.handle, method, f"http://{account.host}{path}")
        assert (response.status, _code(response)) == (status, code)
        assert account.refused == 1

    play(body)


@pytest.mark.parametrize(("access", "path", "status", "code"), READS)
def test_a_refused_head_has_a_code_and_no_body(
    play: "Play", access: AccountAccess, path: str, status: int, code: str
) -> None:
    async def body(stage: "Stage") -> None:
        account = _account(access)
        response = await stage.call(account.handle, "HEAD", f"http://{account.host}{path}")
        assert (response.status, response.headers["x-ms-error-code"]) == (status, code)
        assert response.body == b""

    play(body)


def test_disabled_public_access_answers_to_the_letter(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        response = await stage.call(_account(DISABLED).handle, "GET", URL)
        request_id = "00000001-001e-0000-0000-000000000000"
        assert response == Response(
            409,
            {
                "content-type": "application/xml",
                "x-ms-error-code": "PublicAccessNotPermitted",
                "x-ms-request-id": request_id,
                "x-ms-version": "2024-11-04",
                "server": "Windows-Azure-Blob/1.0,Microsoft-HTTPAPI/2.0",
            },
            b'<?xml version="1.0" encoding="utf-8"?><Error><Code>PublicAccessNotPermitted</Code>'
            b"<Message>Public access is not permitted on this storage account.\n"
            b"RequestId:" + request_id.encode() + b"</Message></Error>",
        )

    play(body)


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE", "OPTIONS"])
def test_a_method_that_is_no_read_is_told_which_are(play: "Play", method: str) -> None:
    async def body(stage: "Stage") -> None:
        response = await stage.call(_account().handle, method, URL)
        assert (response.status, response.headers["allow"]) == (405, "GET, HEAD")

    play(body)


def test_every_answer_has_an_id_of_its_own(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        account = _account()
        good = await stage.call(account.handle, "GET", URL)
        account.access = DISABLED
        bad = await stage.call(account.handle, "GET", URL)
        assert good.headers["x-ms-request-id"] != bad.headers["x-ms-request-id"]

    play(body)

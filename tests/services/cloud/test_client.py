"""How often unmodified clients ask, and when: the load that an outage makes."""

from typing import TYPE_CHECKING

import pytest

from surgetank.cloud.client import (
    ArtifactClient,
    ArtifactError,
    TokenClient,
    TokenTry,
    manifest,
    package_url,
    token_schedule,
)
from surgetank.core.errors import DependencyError
from surgetank.core.http import Response, Timeouts

if TYPE_CHECKING:
    from tests.services.cloud.conftest import Play, Script, Stage

IMDS, HOST, PLUGIN = "169.254.169.254", "a.blob.core.windows.net", "plugin"
SCHEDULE = [0.0, 0.0, 1.6, 4.8, 11.2, 24.0]
"""Seconds after the first try, which fails at once."""
GONE = [0.0, 0.0, 5.0, 15.0, 35.0, 75.0]
TIMEOUTS = Timeouts(connect_s=5.0, read_s=5.0, pool_s=5.0)


class Tokens:
    """A token client, the service that it asks, and what it told of its tries."""

    def __init__(self, stage: "Stage", *answers: Response | None) -> None:
        self.service = stage.script(IMDS, *answers)
        self.tries: list[TokenTry] = []
        self.client = TokenClient(
            http=stage.client(), clock=stage.clock, timeouts=TIMEOUTS, watch=self.tries.append
        )


def _answer(status: int, **headers: str) -> Response:
    return Response(status, {name.replace("_", "-"): value for name, value in headers.items()})


def test_asks_for_a_token_as_the_metadata_service_wants_it(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        tokens = Tokens(stage, _answer(200))
        assert await tokens.client.get("https://vault.azure.net/?a&b")
        (request,) = tokens.service.requests
        assert (request.method, request.headers["metadata"]) == ("GET", "true")
        assert request.url == (
            "http://169.254.169.254/metadata/identity/oauth2/token"
            "?api-version=2018-02-01&resource=https%3A%2F%2Fvault.azure.net%2F%3Fa%26b"
        )

    play(body)


@pytest.mark.parametrize("status", [404, 429, 500, 501, 502, 503, 504, 507, 599])
def test_asks_five_times_more_for_a_token(play: "Play", status: int) -> None:
    async def body(stage: "Stage") -> None:
        tokens = Tokens(stage, _answer(status))
        assert not await tokens.client.get("r")
        assert tokens.service.asked_at == SCHEDULE

    play(body)


def test_waits_longer_for_a_service_that_is_gone(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        tokens = Tokens(stage, _answer(410))
        assert not await tokens.client.get("r")
        assert tokens.service.asked_at == GONE

    play(body)


@pytest.mark.parametrize("status", [204, 302, 400, 401, 403, 405, 409])
def test_asks_once_where_asking_again_cannot_help(play: "Play", status: int) -> None:
    async def body(stage: "Stage") -> None:
        tokens = Tokens(stage, _answer(status))
        assert not await tokens.client.get("r")
        assert tokens.service.asked_at == [0.0]

    play(body)


def test_each_status_has_one_schedule() -> None:
    names = {status: token_schedule(status).name for status in range(200, 600)}
    retried = {status for status, name in names.items() if name != "never"}
    assert retried == {404, 410, 429, *range(500, 600)}


def test_no_answer_is_a_failure_like_another(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        tokens = Tokens(stage, None)
        assert not await tokens.client.get("r")
        waits = [0.0, 5.0, 11.6, 19.8, 31.2, 49.0]  # each 5 s after the answer did not come
        assert tokens.service.asked_at == waits

    play(body)


def test_a_refused_connection_is_a_failure_like_another(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        tokens = Tokens(stage, _answer(200))
        stage.network.stop(IMDS)
        assert not await tokens.client.get("r")
        assert stage.passed_s == 24.0

    play(body)


def test_stops_as_soon_as_a_token_comes(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        tokens = Tokens(stage, _answer(503), _answer(503), _answer(200))
        assert await tokens.client.get("r")
        assert tokens.service.asked_at == [0.0, 0.0, 1.6]

    play(body)


@pytest.mark.parametrize(
    ("retry_after", "pause_s"),
    [
        ("0", 0.0),
        ("7", 7.0),
        ("60", 60.0),
        ("3600", 60.0),
        ("9" * 400, 60.0),
    ],
)
def test_comes_back_when_the_service_says_within_reason(
    play: "Play", retry_after: str, pause_s: float
) -> None:
    async def body(stage: "Stage") -> None:
        tokens = Tokens(stage, _answer(429, retry_after=retry_after), _answer(200))
        assert await tokens.client.get("r")
        assert tokens.service.asked_at == [0.0, pause_s]

    play(body)


@pytest.mark.parametrize(
    "retry_after", ["", "soon", "-1", "nan", "inf", "1e9", "²", "Tue, 03 Feb 2026 00:08:00 GMT"]
)
def test_keeps_to_its_schedule_when_it_cannot_read_when_to_come_back(
    play: "Play", retry_after: str
) -> None:
    async def body(stage: "Stage") -> None:
        tokens = Tokens(stage, _answer(429, retry_after=retry_after))
        assert not await tokens.client.get("r")
        assert tokens.service.asked_at == SCHEDULE

    play(body)


def test_tells_of_every_try_and_which_was_the_first(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        tokens = Tokens(stage, _answer(503), _answer(503), _answer(200))
        await tokens.client.get("r")
        assert tokens.tries == [
            TokenTry(is_first=True, is_ok=False),
            TokenTry(is_first=False, is_ok=False),
            TokenTry(is_first=False, is_ok=True),
        ]

    play(body)


def test_who_asks_again_makes_no_first_try(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        tokens = Tokens(stage, _answer(400), _answer(200))
        await tokens.client.get("r")
        await tokens.client.get("r", is_again=True)
        assert tokens.tries == [
            TokenTry(is_first=True, is_ok=False),
            TokenTry(is_first=False, is_ok=True),
        ]

    play(body)


class Artifacts:
    """The agent's reader of artifacts, with its two ways to the same account."""

    def __init__(
        self, stage: "Stage", direct: list[Response | None], plugin: list[Response | None]
    ) -> None:
        self.direct: Script = stage.script(HOST, *direct)
        self.plugin: Script = stage.script(PLUGIN, *plugin)
        self.client = ArtifactClient(
            direct=stage.client("vm"),
            plugin=stage.network.client("fabric", names={HOST: PLUGIN}),
            clock=stage.clock,
            timeouts=TIMEOUTS,
        )

    async def install(self, *, version: str = "1.0.0") -> bytes:
        return await self.client.install(f"http://{HOST}/ext/m.xml", version=version)

    async def fail(self) -> str:
        """Try in vain; gives the error code."""
        with pytest.raises(ArtifactError) as caught:
            await self.install()
        return caught.value.error_code


PACKAGE = Response(200, body=b"PK")
LISTING = Response(200, body=manifest({"1.0.0": f"http://{HOST}/ext/1.0.0.zip"}))
BLOCKED = _answer(409, x_ms_error_code="PublicAccessNotPermitted")


def test_reads_the_manifest_and_then_the_package(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        artifacts = Artifacts(stage, [LISTING, PACKAGE], [PACKAGE])
        assert await artifacts.install() == b"PK"
        assert [one.path for one in artifacts.direct.requests] == ["/ext/m.xml", "/ext/1.0.0.zip"]
        assert artifacts.plugin.requests == []

    play(body)


@pytest.mark.parametrize("status", [409, 404, 302, 301, 400])
def test_never_repeats_what_cannot_help(play: "Play", status: int) -> None:
    async def body(stage: "Stage") -> None:
        artifacts = Artifacts(stage, [_answer(status)], [_answer(status)])
        assert await artifacts.fail() == f"Http{status}"
        assert (artifacts.direct.asked_at, artifacts.plugin.asked_at) == ([0.0], [0.0])

    play(body)


def test_the_host_plugin_is_the_second_way(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        artifacts = Artifacts(stage, [BLOCKED], [LISTING, PACKAGE])
        assert await artifacts.install() == b"PK"
        assert (len(artifacts.direct.requests), len(artifacts.plugin.requests)) == (2, 2)

    play(body)


@pytest.mark.parametrize("status", [403, 429, 503])
def test_repeats_what_looks_like_throttling_25_times_each_way(play: "Play", status: int) -> None:
    async def body(stage: "Stage") -> None:
        artifacts = Artifacts(stage, [_answer(status)], [_answer(status)])
        assert await artifacts.fail() == f"Http{status}"
        assert artifacts.direct.asked_at == [float(second) for second in range(25)]
        assert artifacts.plugin.asked_at == [float(second) for second in range(24, 49)]

    play(body)


@pytest.mark.parametrize("status", [205, 206, 500, 501, 502, 504, 507])
def test_repeats_a_fault_with_fibonacci_waits(play: "Play", status: int) -> None:
    async def body(stage: "Stage") -> None:
        artifacts = Artifacts(stage, [_answer(status)], [_answer(404)])
        assert await artifacts.fail() == "Http404"
        assert artifacts.direct.asked_at == [0.0, 2.0, 5.0, 10.0, 18.0, 31.0]

    play(body)


def test_throttled_once_it_keeps_to_the_long_schedule(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        artifacts = Artifacts(stage, [_answer(500), _answer(503), _answer(500)], [BLOCKED])
        await artifacts.fail()
        assert artifacts.direct.asked_at == [0.0, *(2.0 + second for second in range(24))]

    play(body)


def test_what_cannot_help_ends_throttling_too(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        artifacts = Artifacts(stage, [_answer(503), _answer(404)], [BLOCKED])
        await artifacts.fail()
        assert artifacts.direct.asked_at == [0.0, 1.0]

    play(body)


def test_without_any_answer_the_artifact_is_unreachable(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        artifacts = Artifacts(stage, [None], [None])
        assert await artifacts.fail() == "ArtifactUnreachable"
        assert (len(artifacts.direct.requests), len(artifacts.plugin.requests)) == (6, 6)
        assert stage.passed_s == 2 * (31.0 + 6 * 5.0)

    play(body)


def test_a_refused_connection_is_tried_again_like_a_fault(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        artifacts = Artifacts(stage, [None], [None])
        stage.network.stop(HOST)
        stage.network.stop(PLUGIN)
        assert await artifacts.fail() == "ArtifactUnreachable"
        assert (stage.network.refused, stage.passed_s) == (12, 2 * 31.0)

    play(body)


def test_the_last_answer_says_what_stood_in_the_way(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        artifacts = Artifacts(stage, [BLOCKED], [None])
        assert await artifacts.fail() == "PublicAccessNotPermitted"

    play(body)


def test_a_failed_read_is_a_failed_dependency_that_did_nothing() -> None:
    error = ArtifactError("Http404")
    assert isinstance(error, DependencyError)
    assert (error.may_have_acted, str(error)) == (False, "no artifact: Http404")


def test_finds_the_package_of_a_version() -> None:
    listing = manifest({"1.0.0": "http://h/1?a&b", "1.1.0": "http://h/2"})
    assert listing.startswith(b"<?xml")
    assert package_url(listing, version="1.0.0") == "http://h/1?a&b"
    assert package_url(listing, version="1.1.0") == "http://h/2"


@pytest.mark.parametrize(
    ("listing", "code"),
    [
        (b"", "InvalidManifest"),
        (b"<html>", "InvalidManifest"),
        (b'<?xml version="1.0" encoding="none"?><a/>', "InvalidManifest"),
        (b'<?xml version="1.0" encoding="euc-jp"?><a/>', "InvalidManifest"),
        (b"<PluginVersionManifest/>", "VersionNotFound"),
        (manifest({"2.0.0": "http://h/2"}), "VersionNotFound"),
        (manifest({"1.0.0": ""}), "InvalidUri"),
        (manifest({"1.0.0": "ftp://h/1"}), "InvalidUri"),
        (manifest({"1.0.0": "http://[h/1"}), "InvalidUri"),
    ],
)
def test_a_manifest_that_cannot_be_used_says_why(play: "Play", listing: bytes, code: str) -> None:
    async def body(stage: "Stage") -> None:
        artifacts = Artifacts(stage, [Response(200, body=listing)], [BLOCKED])
        assert await artifacts.fail() == code

    play(body)

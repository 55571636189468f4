"""What a reader brings, and by which path it comes: whom a closed account still lets in."""

from itertools import product
from typing import TYPE_CHECKING

import pytest

from surgetank.cloud.blob import Account
from surgetank.cloud.client import (
    STORAGE,
    ArtifactClient,
    ArtifactError,
    Credential,
    IdentityToken,
    SharedSignature,
    TokenClient,
    TokenTry,
    manifest,
)
from surgetank.core.http import Request, Response, Timeouts
from surgetank.core.policy import AccountAccess, ContainerAccess, Path, Reader, refuse_read

if TYPE_CHECKING:
    from tests.services.cloud.conftest import Play, Stage

IMDS, HOST, PLUGIN = "169.254.169.254", "a.blob.core.windows.net", "plugin"
TIMEOUTS = Timeouts(connect_s=5.0, read_s=5.0, pool_s=5.0)
MANIFEST_URL = f"http://{HOST}/ext/m.xml"
LISTING = Response(200, body=manifest({"1.0.0": f"http://{HOST}/ext/1.0.0.zip"}))
PACKAGE = Response(200, body=b"PK")
GONE = Response(404)
SIGNATURE = "sv=2024-11-04&sp=r&sig=abc"


class Machine:
    """A machine that installs with a credential, and the account behind each of its two ways."""

    def __init__(
        self,
        stage: "Stage",
        *,
        direct: list[Response],
        plugin: list[Response],
        tokens: list[Response] | None = None,
    ) -> None:
        self.direct = stage.script(HOST, *direct)
        self.plugin = stage.script(PLUGIN, *plugin)
        self.issuer = stage.script(IMDS, *(tokens or [Response(200)]))
        self.tries: list[TokenTry] = []
        self.identity = IdentityToken(
            TokenClient(
                http=stage.client(), clock=stage.clock, timeouts=TIMEOUTS, watch=self.tries.append
            )
        )
        self._stage = stage

    async def install(self, credential: Credential | None) -> bytes:
        client = ArtifactClient(
            direct=self._stage.client(),
            plugin=self._stage.network.client("fabric", names={HOST: PLUGIN}),
            clock=self._stage.clock,
            timeouts=TIMEOUTS,
            credential=credential,
        )
        return await client.install(MANIFEST_URL, version="1.0.0")


def _shown(requests: list[Request]) -> list[tuple[str, str, str]]:
    """Path, query and credential in the head of each request."""
    return [(one.path, one.query, one.headers.get("authorization", "")) for one in requests]


def test_a_signature_goes_with_the_manifest_and_with_the_package(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        machine = Machine(stage, direct=[LISTING, PACKAGE], plugin=[GONE])
        assert await machine.install(SharedSignature(SIGNATURE)) == b"PK"
        assert _shown(machine.direct.requests) == [
            ("/ext/m.xml", SIGNATURE, ""),
            ("/ext/1.0.0.zip", SIGNATURE, ""),
        ]

    play(body)


def test_a_token_goes_with_the_manifest_and_with_the_package(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        machine = Machine(stage, direct=[LISTING, PACKAGE], plugin=[GONE])
        assert await machine.install(machine.identity) == b"PK"
        assert _shown(machine.direct.requests) == [
            ("/ext/m.xml", "", "Bearer held"),
            ("/ext/1.0.0.zip", "", "Bearer held"),
        ]

    play(body)


def test_the_public_brings_nothing(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        machine = Machine(stage, direct=[LISTING, PACKAGE], plugin=[GONE])
        await machine.install(None)
        assert _shown(machine.direct.requests) == [
            ("/ext/m.xml", "", ""),
            ("/ext/1.0.0.zip", "", ""),
        ]
        assert machine.issuer.requests == []

    play(body)


@pytest.mark.parametrize(
    ("is_token", "brought"), [(True, ("", "Bearer held")), (False, (SIGNATURE, ""))]
)
def test_the_host_plugin_sends_the_credential_as_well(
    play: "Play", brought: tuple[str, str], *, is_token: bool
) -> None:
    async def body(stage: "Stage") -> None:
        machine = Machine(stage, direct=[GONE], plugin=[LISTING, PACKAGE])
        await machine.install(machine.identity if is_token else SharedSignature(SIGNATURE))
        requests = machine.plugin.requests
        assert _shown(requests) == [("/ext/m.xml", *brought), ("/ext/1.0.0.zip", *brought)]

    play(body)


async def _signed(query: str) -> Request:
    return await SharedSignature("sig=abc").sign(Request("GET", HOST, "/ext/m.xml", query))


def test_a_signature_joins_what_the_query_says_already(play: "Play") -> None:
    async def body(_: "Stage") -> None:
        assert (await _signed("")).query == "sig=abc"
        assert (await _signed("comp=metadata")).query == "comp=metadata&sig=abc"

    play(body)


def test_a_token_is_asked_for_once_and_kept(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        machine = Machine(stage, direct=[LISTING, PACKAGE, LISTING, PACKAGE], plugin=[GONE])
        for _ in range(2):
            await machine.install(machine.identity)
        (asked,) = machine.issuer.requests
        assert asked.query.endswith("resource=https%3A%2F%2Fstorage.azure.com%2F")
        assert STORAGE == "https://storage.azure.com/"

    play(body)


def test_without_a_token_nothing_is_read(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        machine = Machine(stage, direct=[LISTING], plugin=[LISTING], tokens=[Response(400)])
        with pytest.raises(ArtifactError) as caught:
            await machine.install(machine.identity)
        assert caught.value.error_code == "CredentialUnavailable"
        assert machine.direct.requests == machine.plugin.requests == []

    play(body)


def test_a_token_that_did_not_come_is_asked_for_again_and_that_is_no_first_try(
    play: "Play",
) -> None:
    async def body(stage: "Stage") -> None:
        machine = Machine(
            stage,
            direct=[LISTING, PACKAGE],
            plugin=[GONE],
            tokens=[Response(400), Response(400), Response(200)],
        )
        for _ in range(2):
            with pytest.raises(ArtifactError):
                await machine.install(machine.identity)
        assert await machine.install(machine.identity) == b"PK"
        assert [(one.is_first, one.is_ok) for one in machine.tries] == [
            (True, False),
            (False, False),
            (False, True),
        ]

    play(body)


PUBLIC = Request("GET", HOST, "/ext/1.0.0.zip")


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (PUBLIC, 409),
        (PUBLIC._replace(query=SIGNATURE), 200),
        (PUBLIC._replace(query="comp=metadata&sig=abc"), 200),
        (PUBLIC._replace(query="sig="), 409),
        (PUBLIC._replace(query="signature=abc"), 409),
        (PUBLIC._replace(headers={"authorization": "Bearer held"}), 200),
        (PUBLIC._replace(headers={"authorization": "bearer held"}), 200),
        (PUBLIC._replace(headers={"authorization": "SharedKey a:key"}), 200),
        (PUBLIC._replace(headers={"authorization": "Basic dTpw"}), 409),
        (PUBLIC._replace(headers={"authorization": ""}), 409),
    ],
    ids=lambda value: value.url + str(dict(value.headers)) if isinstance(value, Request) else "",
)
def test_an_account_closed_to_the_public_knows_a_credential(
    play: "Play", request_: Request, status: int
) -> None:
    async def body(_: "Stage") -> None:
        account = _account(AccountAccess(allow_blob_public_access=False))
        response = await account.handle(request_)
        assert response.status == status
        assert account.refused == (status != 200)

    play(body)


def _account(access: AccountAccess) -> Account:
    account = Account("a", access)
    account.put("/ext/1.0.0.zip", b"PK")
    return account


ACCESSES = [
    AccountAccess(is_open, network, action)
    for is_open, network, action in product(
        (True, False), ("Enabled", "Disabled"), ("Allow", "Deny")
    )
]


@pytest.mark.parametrize("path", Path)
@pytest.mark.parametrize("access", ACCESSES, ids=lambda access: "-".join(map(str, access)))
@pytest.mark.parametrize("query", ["", SIGNATURE], ids=["public", "signed"])
def test_an_account_refuses_as_its_policy_says_by_every_path(
    play: "Play", access: AccountAccess, path: Path, query: str
) -> None:
    async def body(_: "Stage") -> None:
        response = await _account(access).handle(PUBLIC._replace(query=query), path)
        refusal = refuse_read(access, ContainerAccess.BLOB, Reader(path, bool(query)))
        told = (200, None) if refusal is None else (refusal.status, refusal.code)
        assert (response.status, response.headers.get("x-ms-error-code")) == told

    play(body)


def test_who_says_nothing_of_its_path_comes_as_the_public(play: "Play") -> None:
    async def body(_: "Stage") -> None:
        account = _account(AccountAccess(default_action="Deny"))
        assert (await account.handle(PUBLIC)).status == 403
        assert (await account.handle(PUBLIC, Path.SERVICE_ENDPOINT)).status == 200

    play(body)

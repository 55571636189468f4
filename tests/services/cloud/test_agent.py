"""What one machine's agent does with its goal state."""

from typing import TYPE_CHECKING, Any

import pytest

from surgetank.cloud.agent import SETTINGS_ERROR, TOKEN_ERROR, MachineAgent
from surgetank.cloud.client import ArtifactClient, TokenClient, TokenTry, manifest
from surgetank.core.http import Response, Timeouts

if TYPE_CHECKING:
    from tests.services.cloud.conftest import Play, Script, Stage

IMDS, HOST = "169.254.169.254", "a.blob.core.windows.net"
MANIFEST = f"http://{HOST}/ext/m.xml"
LISTING = Response(200, body=manifest({"1.0.0": f"http://{HOST}/ext/1.0.0.zip"}))
BLOCKED = Response(409, {"x-ms-error-code": "PublicAccessNotPermitted"})


class Machine:
    """A machine with its agent, an account and a token service."""

    def __init__(
        self,
        stage: "Stage",
        *,
        storage: list[Response | None],
        identity: Response,
        chance: float = 0.5,
    ) -> None:
        self.storage: Script = stage.script(HOST, *storage)
        self.identity: Script = stage.script(IMDS, identity)
        self.tries: list[TokenTry] = []
        http, timeouts = stage.client(), Timeouts()
        self.agent = MachineAgent(
            ArtifactClient(direct=http, plugin=http, clock=stage.clock, timeouts=timeouts),
            TokenClient(http=http, clock=stage.clock, timeouts=timeouts, watch=self.tries.append),
            stage.clock,
            stage.chance(chance),
            20.0,
        )


def _machine(stage: "Stage", *storage: Response, identity: int = 200) -> Machine:
    answers = list[Response | None](storage or (LISTING, Response(200)))
    return Machine(stage, storage=answers, identity=Response(identity))


def test_installs_a_package(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        machine = _machine(stage)
        assert await machine.agent.apply({"manifest": MANIFEST, "version": "1.0.0"}) is None
        assert len(machine.storage.requests) == 2
        assert machine.identity.requests == []

    play(body)


def test_a_blocked_package_costs_one_request_each_way(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        machine = _machine(stage, BLOCKED)
        code = await machine.agent.apply({"manifest": MANIFEST, "version": "1.0.0"})
        assert code == "PublicAccessNotPermitted"
        assert machine.storage.asked_at == [0.0, 0.0]

    play(body)


def test_asks_for_its_tokens_one_after_another(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        machine = _machine(stage)
        assert await machine.agent.apply({"resources": ["a", "b", "c"]}) is None
        assert machine.identity.asked_at == [20.0, 40.0, 60.0]
        assert machine.storage.requests == []

    play(body)


@pytest.mark.parametrize(("chance", "gap_s"), [(0.0, 10.0), (0.25, 15.0), (0.75, 25.0)])
def test_no_two_programs_start_in_step(play: "Play", chance: float, gap_s: float) -> None:
    async def body(stage: "Stage") -> None:
        machine = Machine(stage, storage=[None], identity=Response(200), chance=chance)
        await machine.agent.apply({"resources": ["a", "b"]})
        assert machine.identity.asked_at == [gap_s, 2 * gap_s]

    play(body)


def test_gives_up_at_the_first_token_that_does_not_come(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        machine = _machine(stage, identity=403)
        assert await machine.agent.apply({"resources": ["a", "b"]}) == TOKEN_ERROR
        assert len(machine.identity.requests) == 1

    play(body)


def test_a_package_comes_before_tokens(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        machine = _machine(stage, BLOCKED)
        settings = {"manifest": MANIFEST, "version": "1.0.0", "resources": ["a"]}
        assert await machine.agent.apply(settings) == "PublicAccessNotPermitted"
        assert machine.identity.requests == []

    play(body)


def test_nothing_to_do_is_done(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        assert await _machine(stage).agent.apply({}) is None

    play(body)


@pytest.mark.parametrize(
    "settings",
    [
        {"manifest": 1, "version": "1.0.0"},
        {"manifest": MANIFEST, "version": 1},
        {"resources": "resource"},
        {"resources": ["a", 1]},
    ],
    ids=str,
)
def test_settings_that_it_cannot_read_fail_for_good(play: "Play", settings: dict[str, Any]) -> None:
    async def body(stage: "Stage") -> None:
        machine = _machine(stage)
        assert await machine.agent.apply(settings) == SETTINGS_ERROR
        assert machine.storage.requests + machine.identity.requests == []

    play(body)


def test_a_manifest_without_a_version_to_install_is_no_defect(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        assert await _machine(stage).agent.apply({"manifest": MANIFEST}) == "VersionNotFound"

    play(body)


def test_an_address_that_is_none_is_no_defect(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        settings = {"manifest": "/ext/m.xml", "version": "1.0.0"}
        assert await _machine(stage).agent.apply(settings) == "InvalidUri"

    play(body)

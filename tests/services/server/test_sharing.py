"""Where the governors of a server on SQLite are: in its process, or in a file beside the store."""

from collections.abc import Callable
from typing import Any

import pytest

from surgetank.runtime.assembly import GOVERNORS_FILE
from surgetank.runtime.config import Configuration
from surgetank.runtime.policy import Sharing

Play = Callable[..., None]


@pytest.fixture(params=list(Sharing))
def configuration(request: pytest.FixtureRequest, configuration: Configuration) -> Configuration:
    return configuration.model_copy(update={"sharing": request.param})


def test_only_shared_governors_are_in_a_file(play: Play, configuration: Configuration) -> None:
    async def main(world: Any) -> None:
        await world.submit("k")
        is_shared = configuration.sharing is Sharing.SHARED
        assert (world.folder / GOVERNORS_FILE).exists() is is_shared

    play(main)


def test_operations_of_the_backlog_are_done(play: Play, configuration: Configuration) -> None:
    del configuration

    async def main(world: Any) -> None:
        ids = [await world.submit(f"k{number}", lane="backlog") for number in range(3)]
        await world.pass_s(10.0)
        answers = [await world.ask("GET", f"/v1/operations/{each}") for each in ids]
        assert [answer.body["state"] for answer in answers] == ["succeeded"] * 3

    play(main)

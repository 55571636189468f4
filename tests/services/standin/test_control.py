"""The control endpoint before anything else is served."""

import json

import pytest

from surgetank.core.http import Request, Response
from surgetank.rehearsal.standin.control import Control
from surgetank.runtime.simulation.loop import VirtualLoop, run


def ask(method: str, path: str) -> Response:
    async def main(_: VirtualLoop) -> Response:
        return await Control().handle(Request(method, "here", path))

    return run(main)


def test_it_is_alive_from_the_start() -> None:
    assert ask("GET", "/healthz").status == 200


def test_it_is_not_ready_before_everything_serves() -> None:
    response = ask("GET", "/readyz")
    assert (response.status, json.loads(response.body)) == (503, {"status": "starting"})


@pytest.mark.parametrize(("method", "path"), [("GET", "/state"), ("POST", "/acts/repair")])
def test_there_is_nothing_to_say_or_do_yet(method: str, path: str) -> None:
    response = ask(method, path)
    assert (response.status, response.headers["retry-after"]) == (503, "1")

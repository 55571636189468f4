"""Names of the cloud lead to addresses of this machine, and to nowhere else."""

from collections.abc import Awaitable, Callable

import pytest

from surgetank.core.errors import DependencyError
from surgetank.core.http import Request, Response, Timeouts
from surgetank.rehearsal.standin.names import NamedClient
from surgetank.runtime.simulation.loop import VirtualLoop, run
from surgetank.runtime.simulation.network import Network

Call = Callable[[NamedClient, Request], Awaitable[Response]]


async def send(client: NamedClient, request: Request) -> Response:
    return await client.send(request, timeouts=Timeouts())


async def stream(client: NamedClient, request: Request) -> Response:
    async with client.stream(request, timeouts=Timeouts()) as response:
        return response._replace(chunks=None)


def ask(call: Call, url: str) -> tuple[Response, list[Request]]:
    """Ask for `url` where `storage` is served at `127.0.0.1:1`."""
    arrived: list[Request] = []

    async def handle(request: Request) -> Response:
        arrived.append(request)
        return Response(200, {}, b"body")

    async def main(loop: VirtualLoop) -> Response:
        network = Network(loop)
        network.serve("127.0.0.1:1", handle)
        client = NamedClient(network.client("vm"), {"storage": "127.0.0.1:1"})
        return await call(client, Request.to("GET", url, headers={"x": "y"}))

    return run(main), arrived


@pytest.mark.parametrize("call", [send, stream])
@pytest.mark.parametrize("url", ["https://storage/a?b=c", "http://STORAGE/a?b=c"])
def test_a_name_leads_to_its_address(call: Call, url: str) -> None:
    response, (request,) = ask(call, url)
    assert response.status == 200
    assert request.url == "http://127.0.0.1:1/a?b=c"
    assert request.headers == {"x": "y", "host": url.split("/")[2]}


@pytest.mark.parametrize("call", [send, stream])
@pytest.mark.parametrize(
    "url", ["https://example.org/", "http://127.0.0.1:1/", "http://storage:2/"]
)
def test_a_name_that_nobody_has_is_refused_unsent(call: Call, url: str) -> None:
    with pytest.raises(DependencyError, match="nobody here has that name") as caught:
        ask(call, url)
    assert not caught.value.may_have_acted

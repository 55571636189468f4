"""Tasks in a real Celery worker, over a broker in memory, before a server of permits."""

# Celery ships no types:
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUntypedFunctionDecorator=false, reportUnknownParameterType=false

from collections.abc import Callable, Generator
from typing import Any

import pytest
from celery import Celery
from celery.contrib.testing.worker import start_worker
from celery.exceptions import Ignore

from surgetank.client import BreakerOpenError
from surgetank.client.celery_task import GovernedTask

VM = "vm@eastus"
PATIENCE_S = 30.0

Governed = Callable[..., Callable[[Callable[..., Any]], Any]]


@pytest.fixture(scope="module")
def worker() -> Generator[Any]:
    """A worker in a thread of this process that runs one task after another."""
    app = Celery("tests", broker="memory://", backend="cache+memory://", set_as_current=False)
    app.conf.update(
        broker_connection_retry_on_startup=True,
        broker_transport_options={"polling_interval": 0.05},
        task_default_queue="governed",
        worker_hijack_root_logger=False,  # other tests look at what is logged
    )
    started: Any = start_worker(app, pool="threads", concurrency=1, perform_ping_check=False)
    with started as worker:
        yield worker
    app.close()


@pytest.fixture
def governed(worker: Any, request: pytest.FixtureRequest) -> Governed:
    """Make a task of a function, one a test, and tell the worker of it."""

    def governed(**options: Any) -> Callable[[Callable[..., Any]], Any]:
        def make(function: Callable[..., Any]) -> Any:
            task = worker.app.task(
                base=GovernedTask, shared=False, name=request.node.name, dependency=VM, **options
            )(function)
            worker.consumer.update_strategies()
            return task

        return make

    return governed


def test_a_task_runs_under_a_permit(governed: Governed, office: Any, connect: Any) -> None:
    client = connect(office.url, office.token, is_fail_open=False)

    @governed(client=client)
    def work(number: int) -> int:
        in_flight: int = office.in_flight(VM)
        return number + in_flight

    assert work.delay(1).get(timeout=PATIENCE_S) == 2
    assert office.kinds() == ["ok"]


def test_a_task_that_fails_is_reported(governed: Governed, office: Any, connect: Any) -> None:
    client = connect(office.url, office.token, is_fail_open=False)

    @governed(client=client)
    def work() -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        work.delay().get(timeout=PATIENCE_S)
    assert office.kinds() == ["timeout"]


def test_a_task_that_is_refused_comes_back_and_keeps_its_tries(
    governed: Governed, short_office: Any, connect: Any
) -> None:
    client = connect(short_office.url, short_office.token, is_fail_open=False)

    @governed(bind=True, client=client, max_retries=0)
    def work(self: Any) -> int:
        retries: int = self.request.retries
        return retries

    short_office.break_down(VM)
    assert work.delay().get(timeout=PATIENCE_S) == 0
    asked = [request for request in short_office.requests if request.path == "/v1/permits"]
    assert len(asked) >= 2


def test_a_tasks_own_retries_are_spent_on_calls_alone(
    governed: Governed, short_office: Any, connect: Any
) -> None:
    client = connect(short_office.url, short_office.token, is_fail_open=False)

    @governed(bind=True, client=client, max_retries=1)
    def work(self: Any) -> None:
        short_office.break_down(VM) if self.request.retries == 0 else None
        raise self.retry(exc=ConnectionError("down"), countdown=0)

    with pytest.raises(ConnectionError):
        work.delay().get(timeout=PATIENCE_S)
    assert short_office.kinds() == ["transient", "transient"]


def test_a_task_that_is_refused_too_often_fails_with_the_refusal(
    governed: Governed, office: Any, connect: Any
) -> None:
    office.break_down(VM)
    client = connect(office.url, office.token, is_fail_open=False)

    @governed(client=client, refusals_max=0)
    def work() -> None: ...

    with pytest.raises(BreakerOpenError):
        work.delay().get(timeout=PATIENCE_S)


def test_a_task_that_steers_celery_says_nothing_of_its_dependency(
    governed: Governed, office: Any, connect: Any
) -> None:
    client = connect(office.url, office.token, is_fail_open=False)

    @governed(client=client)
    def work(*, is_ignored: bool) -> str:
        if is_ignored:
            raise Ignore
        return "done"

    work.delay(is_ignored=True)
    assert work.delay(is_ignored=False).get(timeout=PATIENCE_S) == "done"
    assert office.kinds() == ["ok"]
    assert office.in_flight(VM) == 0


def test_a_task_that_is_called_directly_asks_too(
    governed: Governed, office: Any, connect: Any
) -> None:
    office.break_down(VM)
    client = connect(office.url, office.token, is_fail_open=False)

    @governed(client=client)
    def work() -> None: ...

    with pytest.raises(BreakerOpenError):
        work()

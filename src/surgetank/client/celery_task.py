"""A base class of Celery tasks that take a permit of a server before they run."""

# Celery ships no types:
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

from typing import Any, ClassVar

from celery import Task
from celery.exceptions import Ignore, Reject, Retry, SoftTimeLimitExceeded

from surgetank.client.remote import Client
from surgetank.core.errors import RefusedError
from surgetank.core.value import Lane, Outcome, OutcomeKind

REFUSALS_HEADER = "surgetank_refusals"
"""Of the message: how often the task was refused."""
RETRY_S = 5.0
"""Seconds until a refused task asks again, when the server does not say."""


class GovernedTask(Task):  # type: ignore[misc]  # it has no type
    """Takes a permit before the body runs; refused, the task comes back when it may ask again.

    Coming back for a refusal spends none of the task's own `max_retries`: those are for calls that
    were made. Tries after the first ask as retries, and take of the dependency's retry budget.

    Set `client` and `dependency` on a subclass, or per task::

        @app.task(base=GovernedTask, client=client, dependency="identity@eastus")
        def fetch() -> None: ...

    A body that calls `self.retry` reports the error that it retries for.
    """

    abstract = True
    client: ClassVar[Client]
    """Whom to ask."""
    dependency: ClassVar[str]
    """Whom the task calls."""
    lane: ClassVar[Lane] = Lane.BACKLOG
    """Who waits: a queue of tasks is work that nobody watches."""
    wait_s: ClassVar[float] = 0.0
    """Seconds to wait for leave in the worker before coming back later; 0 frees the worker."""
    refusals_max: ClassVar[int] = 10_000
    """Refusals of one task, then it fails with the refusal; at 300 s each, a month."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the body under a permit, or come back later."""
        try:
            held = self.client.ask(
                self.dependency,
                lane=self.lane,
                retry=self.request.retries > 0,
                wait_s=self.wait_s,
            )
        except RefusedError as error:
            self._come_back(error)
            raise
        result: Any
        try:
            result = self.run(*args, **kwargs)
        except BaseException as error:
            held.settle(self._classify(error))
            raise
        held.settle(self.client.classify(result))
        return result

    def _classify(self, error: BaseException) -> Outcome | None:
        """Tell what became of the call; what steers Celery says nothing of it."""
        match error:
            case Ignore() | Reject():
                return None
            case Retry():
                return self.client.classify(error.exc) if error.exc else None
            case SoftTimeLimitExceeded():
                return Outcome(OutcomeKind.TIMEOUT, "the soft time limit")
            case _:
                return self.client.classify(error)

    def _come_back(self, refusal: RefusedError) -> None:
        """Raise Celery's Retry, unless nobody but a caller waits or it came back too often."""
        request = self.request
        refusals = 1 + int((request.headers or {}).get(REFUSALS_HEADER, 0))
        if request.called_directly or refusals > self.refusals_max:
            return
        wait_s = RETRY_S if refusal.retry_at is None else refusal.retry_at - self.client.now()
        headers = {**(request.headers or {}), REFUSALS_HEADER: refusals}
        # `retry` counts one more: with one less before, the message keeps the tries that it had.
        request.retries -= 1
        try:
            raise self.retry(exc=refusal, countdown=max(0.0, wait_s), headers=headers)
        finally:
            request.retries += 1

"""A permit while its holder makes the call."""

from collections.abc import Callable, Generator
from contextlib import contextmanager

from surgetank.client.outcome import Classify
from surgetank.core.errors import ConflictError, InvalidInputError
from surgetank.core.value import Dependency, Lane, Outcome, OutcomeKind

WAIT_S_LIMIT = 86_400.0
"""Longest `wait_s`: a day."""

End = Callable[[Outcome | None], None]
"""Takes the outcome of a permit, or None to give it back; called once."""


class HeldPermit:
    """Leave to make one call, until it is ended."""

    def __init__(
        self, dependency: Dependency, lane: Lane, end: End, *, is_governed: bool = True
    ) -> None:
        self.dependency = dependency
        self.lane = lane
        self.is_governed = is_governed
        """False when nobody could be asked, and the call goes ahead all the same."""
        self._end: End | None = end

    @property
    def is_ended(self) -> bool:
        """Whether an outcome was reported, or it was given back."""
        return self._end is None

    def report(self, outcome: Outcome) -> None:
        """Say how the call ended, when the body's end does not say it.

        Raises:
            ConflictError: It was ended before.
        """
        if self._end is None:
            raise ConflictError(f"the permit for {self.dependency} was ended before")
        self.settle(outcome)

    def give_back(self) -> None:
        """Say that the call was not made; nothing when it was ended before."""
        self.settle(None)

    def settle(self, outcome: Outcome | None) -> None:
        """End it, unless it is ended."""
        if self._end is not None:
            end, self._end = self._end, None
            end(outcome)


@contextmanager
def holding(
    held: HeldPermit, *, classify: Classify, now: Callable[[], float]
) -> Generator[HeldPermit]:
    """End the permit by how the body ends."""
    try:
        yield held
    except BaseException as error:
        held.settle(classify(error, now()))
        raise
    held.settle(Outcome(OutcomeKind.OK))


def check_wait_s(wait_s: float) -> None:
    """Refuse a wait that is no wait.

    Raises:
        InvalidInputError: It is below 0 or above `WAIT_S_LIMIT`.
    """
    if not 0 <= wait_s <= WAIT_S_LIMIT:
        raise InvalidInputError(f"wait_s = {wait_s}: seconds from 0 to {WAIT_S_LIMIT:g}")

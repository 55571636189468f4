"""Where along a figure a judgement changes, found by asking at few values. Pure."""

from collections.abc import Callable, Generator
from typing import NamedTuple, TypeVar

from surgetank.core.errors import InvalidInputError

STEPS_MAX = 4
"""Questions of one search: they halve the way four times, to a sixteenth."""
TOLERANCE_RATIO = 0.05
"""A search ends when it is this near, as a share of the range: assumed figures are no sharper."""

Asked = TypeVar("Asked")
Told = TypeVar("Told")


class Flip(NamedTuple):
    """Where a judgement changes."""

    value: float
    """The nearest value to the assumed one at which it was seen to be another."""
    because: str
    """What made it another there."""


def nearest_flip(
    holds_at: float,
    flip: Flip,
    *,
    ask: Callable[[float], Generator[Asked, Told, str | None]],
    tolerance: float,
    is_whole: bool,
) -> Generator[Asked, Told, Flip]:
    """Bring a flip nearer to where the judgement holds.

    Args:
        holds_at: A value at which it holds.
        flip: A value at which it does not, and why.
        ask: Judges a value: returns why it does not hold there, or None; may raise
            `InvalidInputError`, which ends the search.
        tolerance: The distance that is near enough; above 0.
        is_whole: Whether only whole numbers may be asked for.

    Returns:
        The nearest flip seen. Between it and the nearest value at which the judgement held lie at
        most `tolerance`, or no number to ask for, or the answer of `STEPS_MAX` questions.
    """
    for _ in range(STEPS_MAX):
        value = between(holds_at, flip.value, is_whole=is_whole)
        if value is None or abs(flip.value - holds_at) <= tolerance:
            break
        try:
            because = yield from ask(value)
        except InvalidInputError:
            break
        if because is None:
            holds_at = value
        else:
            flip = Flip(value, because)
    return flip


def between(one: float, other: float, *, is_whole: bool) -> float | None:
    """A number about half-way, of at most four digits or whole; None when none lies between."""
    half = (one + other) / 2
    value = float(round(half)) if is_whole else float(f"{half:.4g}")
    return value if min(one, other) < value < max(one, other) else None

"""Options that do not go together are refused, never passed over in silence."""

from collections.abc import Mapping

from surgetank.core.errors import InvalidInputError

__all__ = ["check_alone"]


def check_alone(name: str, others: Mapping[str, object]) -> None:
    """Refuse options that `name` has no use for.

    Args:
        name: Of the option that was given.
        others: The value of each of the others, by name; None and False: it was not given.

    Raises:
        InvalidInputError: One of them was given.
    """
    given = [option for option, value in others.items() if value is not None and value is not False]
    if given:
        raise InvalidInputError(f"{name} goes without {', '.join(given)}")

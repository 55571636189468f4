"""What actions read: JSON text, held against a model when the call is made."""

from typing import TypeVar

from pydantic import ValidationError

from surgetank.core.errors import InvalidInputError
from surgetank.safeguards.operations.strict import Strict


class Arguments(Strict):
    """Arguments of an action, or a part of them."""


A = TypeVar("A", bound=Arguments)


def read_arguments(model: type[A], text: str) -> A:
    """Read the arguments of a call, as JSON.

    Raises:
        InvalidInputError: They are not what `model` says; names the first key that is not. Values
            are told where they are numbers: texts may hold secrets, and errors are stored.
    """
    try:
        return model.model_validate_json(text)
    except ValidationError as invalid:
        error = invalid.errors(include_url=False)[0]
        key = ".".join(map(str, error["loc"])) or "arguments"
        value = f" = {error['input']}" if isinstance(error["input"], int | float) else ""
        raise InvalidInputError(f"{key}{value}: {error['msg']}") from None

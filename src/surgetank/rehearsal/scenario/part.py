"""What every part of a scenario file is made of."""

from collections.abc import Container, Iterable
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Ratio = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Seconds = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1, le=100_000)]


class Part(BaseModel):
    """A mapping of the file: no key that the schema does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


def check_known(what: str, names: Iterable[str], known: Container[str]) -> None:
    """Raise `ValueError` for the first of `names` that is not known."""
    for name in names:
        if name not in known:
            raise ValueError(f"no such {what}: {name}")

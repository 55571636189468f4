import inspect
import re

import pytest

from surgetank.app.cli.status import STATUS_OF_CODE, ExitStatus
from surgetank.core import errors
from surgetank.core.errors import SurgetankError

CLASSES = [
    value
    for value in vars(errors).values()
    if inspect.isclass(value) and issubclass(value, SurgetankError)
]


def _drawn() -> list[tuple[str, str | None]]:
    """Each class of the tree in the docstring, with its parent."""
    assert errors.__doc__
    path: list[str] = []
    pairs: list[tuple[str, str | None]] = []
    for line in errors.__doc__.splitlines():
        if found := re.fullmatch(r"([│├└─ ]*)(\w+Error)", line):
            depth = len(found[1]) // 4
            path[depth:] = [found[2]]
            pairs.append((found[2], path[depth - 1] if depth else None))
    return pairs


def test_the_tree_at_the_top_is_the_tree_of_classes() -> None:
    written = [(cls.__name__, cls.__mro__[1].__name__) for cls in CLASSES]
    drawn = [(name, parent or "Exception") for name, parent in _drawn()]
    assert sorted(written) == sorted(drawn)


def test_no_two_errors_share_a_code() -> None:
    assert len({cls.code for cls in CLASSES}) == len(CLASSES)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_every_code_has_an_exit_status(cls: type[SurgetankError]) -> None:
    assert cls.code in STATUS_OF_CODE


def test_no_error_ends_as_done() -> None:
    assert ExitStatus.DONE not in STATUS_OF_CODE.values()

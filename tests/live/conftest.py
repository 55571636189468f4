"""What tests of real processes look at."""

import os
import select
from collections.abc import Callable

import pytest

PATIENCE_S = 30.0


def _is_gone(pid: int) -> bool:
    try:
        file = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([file], [], [], PATIENCE_S)[0])
    finally:
        os.close(file)


@pytest.fixture
def is_gone() -> Callable[[int], bool]:
    """Whether a process has ended, or does within seconds: to be killed takes a moment."""
    return _is_gone

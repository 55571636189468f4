"""For every test: how Hypothesis searches, and that logging starts afresh."""

import os
from collections.abc import Generator

import pytest
import structlog
from hypothesis import settings

# The same examples on every run, so that a red build is the change's doing; a nightly run sets
# HYPOTHESIS_PROFILE=random. No deadline: a busy machine is not a defect.
settings.register_profile("derandomised", derandomize=True, deadline=None)
settings.register_profile("random", deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "derandomised"))


@pytest.fixture(autouse=True)
def fresh_logs() -> Generator[None]:
    """Undo what a test did to logging: the next one may look at what is logged."""
    yield
    structlog.reset_defaults()

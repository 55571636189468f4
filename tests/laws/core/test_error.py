"""What errors tell those who catch them."""

import pytest

from surgetank.core.errors import (
    BreakerOpenError,
    ConfigError,
    DependencyError,
    DependencyRejectedError,
    DependencyThrottledError,
    DependencyTimeoutError,
    InvalidInputError,
    RefusedError,
    SurgetankError,
)


def test_a_refusal_may_say_when_to_come_back() -> None:
    assert BreakerOpenError("open", retry_at=7.0).retry_at == 7.0
    assert RefusedError("no").retry_at is None


@pytest.mark.parametrize(
    "kind",
    [
        DependencyError,
        DependencyTimeoutError,
        DependencyThrottledError,
        DependencyRejectedError,
    ],
)
def test_a_failed_dependency_says_whether_it_may_have_acted(kind: type[DependencyError]) -> None:
    error = kind("no answer", may_have_acted=True, retry_at=3.0)
    assert (str(error), error.may_have_acted, error.retry_at) == ("no answer", True, 3.0)


def test_a_wrong_input_is_a_value_error_too() -> None:
    with pytest.raises(ValueError, match="too small"):
        raise InvalidInputError("too small")


def test_a_wrong_setting_names_its_place_and_what_would_do() -> None:
    error = ConfigError(file="a.toml", key="broker.port", value="80", wanted="a whole number")
    assert str(error) == "a.toml: broker.port = '80': a whole number"
    assert (error.file, error.key, error.value, error.wanted) == (
        "a.toml",
        "broker.port",
        "80",
        "a whole number",
    )
    assert isinstance(error, SurgetankError)

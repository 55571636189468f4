from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from surgetank.core.errors import ConfigError, InvalidInputError
from surgetank.core.value import dependency
from surgetank.runtime import config
from surgetank.safeguards.broker.policy import BrokerPolicy
from surgetank.safeguards.operations.permits_api import PermitsApiPolicy

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a configuration file and give its path."""

    def write(text: str) -> Path:
        path = tmp_path / "surgetank.toml"
        path.write_text(text)
        return path

    return write


def _problem(path: Path) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        config.read(path)
    return caught.value


def test_an_empty_file_gives_the_defaults(write: Write) -> None:
    assert config.read(write("")) == config.Configuration()


def test_a_key_that_is_given_leaves_its_neighbours_as_they_are(write: Write) -> None:
    given = config.read(write("[operations.retry]\nbase_s = 3\n")).operations.retry
    assert (given.base_s, given.cap_s) == (3.0, config.Configuration().operations.retry.cap_s)


def test_the_same_below_a_section_that_is_off_when_left_out(write: Write) -> None:
    text = '[broker]\ndependency = "identity@eastus"\nbackoff = { base_s = 3 }'
    broker = config.read(write(text)).broker
    assert broker
    assert broker.backoff == replace(BrokerPolicy(dependency=broker.dependency).backoff, base_s=3.0)


def test_sections_that_are_off_when_left_out_are_off(write: Write) -> None:
    found = config.read(write(""))
    assert (found.mirror, found.broker) == (None, None)


def test_a_relative_directory_starts_at_the_file(write: Write, tmp_path: Path) -> None:
    assert config.read(write('directory = "state"')).directory == tmp_path / "state"


def test_an_absolute_directory_stays(write: Write) -> None:
    assert config.read(write('directory = "/state"')).directory == Path("/state")


def test_a_whole_number_will_do_for_seconds(write: Write) -> None:
    assert config.read(write("[operations]\nlease_s = 5")).operations.lease_s == 5.0


def test_inf_says_for_ever(write: Write) -> None:
    rule = '[[mirror.rules]]\nhost = "a.example"\ndependency = "artifacts@eastus"\n'
    mirror = config.read(write(f"{rule}freshness_s = inf")).mirror
    assert mirror
    assert mirror.rules[0].freshness_s is None


@pytest.mark.parametrize(
    ("text", "key", "wanted"),
    [
        ("[operations]\nlease_s = '5'", "operations.lease_s", "should be a valid number"),
        ("[operations]\nlease_s = nan", "operations.lease_s", "should be a finite number"),
        ("[operations]\nlease_s = inf", "operations.lease_s", "should be a valid number"),
        ("[operations]\nlease_s = 2026-02-02", "operations.lease_s", "should be a valid number"),
        ("[operations]\nbatch = 1.5", "operations.batch", "should be a valid integer"),
        ("[operations]\nlease_s = -1", "operations.lease_s", "above 0"),
        ("[operations]\nleese_s = 1", "operations.leese_s", "did you mean 'operations.lease_s'?"),
        ("[operations]\nzzz = 1", "operations.zzz", "there are operations.batch, "),
        ("[[mirror.rules]]\nhost = 'a'", "mirror.rules[0].dependency", "required"),
        ("operations = 3", "operations", "should be an object"),
        ("[mirror]\nrules = []", "mirror.rules", "from 1 to 256 rules"),
        ("[serve.permits]\nopen_max = 0", "serve.permits.open_max", "at least 1"),
        ("[serve.permits]\nopen_s = 0", "serve.permits.open_s", "above 0"),
        ("[serve.permits]\nended_max = 0", "serve.permits.ended_max", "at least 1"),
        ("[serve.permits]\nwaiting_max = -1", "serve.permits.waiting_max", "at least 0"),
    ],
)
def test_an_error_names_the_key_and_what_would_do(
    write: Write, text: str, key: str, wanted: str
) -> None:
    problem = _problem(write(text))
    assert problem.key == key
    assert wanted in problem.wanted


def test_a_key_below_a_section_of_the_server_leaves_its_neighbours_as_they_are(
    write: Write,
) -> None:
    permits = config.read(write("[serve.permits]\nopen_s = 60")).serve.permits
    assert permits == PermitsApiPolicy(open_s=60.0)


def test_an_error_names_the_file_and_the_value(write: Write) -> None:
    path = write("[operations]\nlease_s = -1")
    problem = _problem(path)
    assert (problem.file, problem.value) == (str(path), -1)


def test_values_wrong_only_together_are_laid_to_their_table(write: Write) -> None:
    rule = '{ host = "a.example", dependency = "artifacts@eastus" }'
    problem = _problem(write(f"[mirror]\nrules = [{rule}]\nbytes_max = 9\nbody_bytes_max = 10"))
    assert problem.key == "mirror"


def test_a_range_is_checked_beside_a_wrong_type(write: Write) -> None:
    problem = _problem(write("[operations]\nbatch = 'x'\nlease_s = -1"))
    assert problem.key == "operations.batch"
    assert "operations.lease_s = -1: out of range" in problem.__notes__[0]


def test_the_first_error_is_raised_and_the_rest_are_notes(write: Write) -> None:
    problem = _problem(write("first = 1\nsecond = 2\nthird = 3"))
    assert problem.key == "first"
    assert [note.rpartition(": ")[0].split()[1] for note in problem.__notes__] == [
        "second",
        "third",
    ]


def test_no_more_than_fifty_other_errors_are_listed(write: Write) -> None:
    problem = _problem(write("".join(f"unknown_{count} = 1\n" for count in range(60))))
    assert problem.__notes__[50:] == ["and 9 more"]


def test_a_long_value_is_cut(write: Write) -> None:
    problem = _problem(write(f'unknown = "{"x" * 1000}"'))
    assert len(str(problem.value)) == 203


def test_a_file_at_the_limit_is_read(write: Write) -> None:
    assert config.read(write("#" * config.FILE_BYTES_MAX)) == config.Configuration()


def test_a_file_above_the_limit_is_refused(write: Write) -> None:
    with pytest.raises(InvalidInputError, match="larger than 1048576 bytes"):
        config.read(write("#" * (config.FILE_BYTES_MAX + 1)))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"x = ", "not TOML: Invalid value"),
        (b"x = 1\nx = 2", "not TOML: Cannot overwrite a value"),
        (b"\xff", "not TOML: 'utf-8' codec"),
        (b"x = " + b"[" * 100_000, "nested too deeply"),
    ],
)
def test_what_is_not_toml_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "surgetank.toml"
    path.write_bytes(content)
    with pytest.raises(InvalidInputError, match=said):
        config.read(path)


def test_a_folder_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="cannot be read: Is a directory"):
        config.read(tmp_path)


def test_defaults_below_a_section_are_the_sections_own() -> None:
    (found,) = config.explain("operations.retry.cap_s")
    assert found.default == config.Configuration().operations.retry.cap_s


def test_the_same_for_a_section_that_is_off_when_left_out() -> None:
    (found,) = config.explain("broker.backoff.cap_s")
    assert found.default == BrokerPolicy(dependency=dependency("identity", "eastus")).backoff.cap_s


def test_a_value_inside_a_section_left_out_is_none() -> None:
    assert config.value(config.Configuration(), "mirror.wait_s") is None

from collections.abc import Callable
from pathlib import Path

import pytest

from surgetank.core.errors import ConfigError, InvalidInputError
from surgetank.core.route import Role
from surgetank.runtime.server.token import (
    FILE_BYTES_MAX,
    TOKEN_CHARACTERS_MIN,
    TOKENS_MAX,
    Caller,
    Tokens,
)

Write = Callable[[str], Path]
TOKEN = "t" * TOKEN_CHARACTERS_MIN


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a file of tokens that nobody else may read."""

    def write(text: str) -> Path:
        path = tmp_path / "tokens"
        path.write_text(text)
        path.chmod(0o600)
        return path

    return write


def test_a_token_names_its_caller(write: Write) -> None:
    tokens = Tokens.read(write(f"# ours\n\nalice admin {TOKEN}\n"))
    assert tokens.caller({"authorization": f"bearer {TOKEN}"}) == Caller("alice", Role.ADMIN)


def test_without_a_file_nobody_is_known() -> None:
    assert Tokens.read(None).caller({"authorization": f"Bearer {TOKEN}"}) is None


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (f"alice {TOKEN}", "NAME ROLE TOKEN, where ROLE is read, work, admin"),
        (f"alice root {TOKEN}", "where ROLE is read, work, admin"),
        (f"{'a' * 61} admin {TOKEN}", "a name has at most 60 characters"),
        (f"alice admin {TOKEN[1:]}", "from 32 to 512 ASCII characters"),
        (f"alice admin {'t' * 513}", "from 32 to 512 ASCII characters"),
        (f"alice admin é{TOKEN}", "from 32 to 512 ASCII characters"),
    ],
)
def test_a_line_that_is_no_token_is_named_and_not_shown(write: Write, line: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        Tokens.read(write(f"\n{line}\n"))
    assert caught.value.key == "line 2"
    assert TOKEN[1:] not in str(caught.value)


@pytest.mark.parametrize("second", [f"alice read {TOKEN}x", f"bob read {TOKEN}"])
def test_a_name_or_a_token_stands_once(write: Write, second: str) -> None:
    with pytest.raises(InvalidInputError, match="stands twice"):
        Tokens.read(write(f"alice admin {TOKEN}\n{second}\n"))


def test_as_many_tokens_as_may_be_are_read(write: Write) -> None:
    lines = [f"n{number} read {number:032d}" for number in range(TOKENS_MAX)]
    tokens = Tokens.read(write("\n".join(lines)))
    assert tokens.caller({"authorization": f"Bearer {7:032d}"}) == Caller("n7", Role.READ)


def test_one_more_is_refused(write: Write) -> None:
    lines = [f"n{number} read {number:032d}" for number in range(TOKENS_MAX + 1)]
    with pytest.raises(InvalidInputError, match="more than 1000 tokens"):
        Tokens.read(write("\n".join(lines)))


def test_a_file_that_is_too_large_is_refused(write: Write) -> None:
    with pytest.raises(InvalidInputError, match="larger than 1048576 bytes"):
        Tokens.read(write("#" * (FILE_BYTES_MAX + 1)))


def test_a_file_that_others_may_read_is_refused(write: Write) -> None:
    path = write(f"alice admin {TOKEN}")
    path.chmod(0o604)
    with pytest.raises(ConfigError, match="chmod 600"):
        Tokens.read(path)


def test_a_file_that_is_not_there_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="cannot be read: No such file"):
        Tokens.read(tmp_path / "absent")

"""Bearer tokens: who calls, and what they may do. They are read from a file of their own.

One `NAME ROLE TOKEN` a line, as `alice admin 3f1c...`; what follows a `#` at a line's beginning is
a comment. Roles are `read`, `work` (submit too) and `admin` (hold, release, cancel and redrive
too). Only digests are kept in memory.
"""

import hashlib
import hmac
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from surgetank.core.errors import ConfigError, InvalidInputError
from surgetank.core.http import Headers
from surgetank.core.route import Role

TOKENS_MAX = 1_000
"""Tokens of one file: each is compared at every request."""
TOKEN_CHARACTERS_MIN = 32
"""Of one token: 128 bits in hexadecimal, which nobody guesses."""
TOKEN_CHARACTERS_MAX = 512
NAME_CHARACTERS_MAX = 60
FILE_BYTES_MAX = 1 << 20

_SCHEME = "bearer "
_PARTS = 3
_WANTED = f"NAME ROLE TOKEN, where ROLE is {', '.join(role.name.lower() for role in Role)}"


class Caller(NamedTuple):
    """Who has a token."""

    name: str
    role: Role


class Tokens:
    """The tokens of one file."""

    def __init__(self, callers: Sequence[tuple[bytes, Caller]]) -> None:
        """Know callers by the digests of their tokens."""
        self._callers = tuple(callers)

    @classmethod
    def read(cls, path: Path | None) -> "Tokens":
        """Read a file; None gives no tokens, so that nobody is known.

        Raises:
            ConfigError: Others may read the file, or a line of it is no token.
            InvalidInputError: It cannot be read, or is too large.
        """
        if path is None:
            return cls(())
        lines = _lines(path)
        callers = [_caller(path, number, line) for number, line in lines]
        if len(callers) > TOKENS_MAX:
            raise InvalidInputError(f"{path}: more than {TOKENS_MAX} tokens")
        for what in ({digest for digest, _ in callers}, {caller.name for _, caller in callers}):
            if len(what) < len(callers):
                raise InvalidInputError(f"{path}: a name or a token stands twice")
        return cls(callers)

    def caller(self, headers: Headers) -> Caller | None:
        """Find who calls; None when no token of ours was sent. Takes as long for each."""
        sent = headers.get("authorization", "")
        if sent[: len(_SCHEME)].lower() != _SCHEME:
            return None
        digest = _digest(sent[len(_SCHEME) :].strip())
        found = None
        for known, caller in self._callers:
            if hmac.compare_digest(known, digest):
                found = caller
        return found


def _lines(path: Path) -> list[tuple[int, str]]:
    try:
        with path.open("rb") as file:
            content = file.read(FILE_BYTES_MAX + 1)
            mode = stat.S_IMODE(path.stat().st_mode)
    except OSError as error:
        raise InvalidInputError(f"{path}: cannot be read: {error.strerror}") from error
    if len(content) > FILE_BYTES_MAX:
        raise InvalidInputError(f"{path}: larger than {FILE_BYTES_MAX} bytes")
    if mode & stat.S_IRWXO:
        wanted = f"a file that others may not read: chmod 600 {path}"
        raise ConfigError(file=str(path), key="(mode)", value=f"{mode:o}", wanted=wanted)
    lines = enumerate(content.decode(errors="replace").splitlines(), start=1)
    return [(number, line) for number, line in lines if line.strip() and not line.startswith("#")]


def _caller(path: Path, number: int, line: str) -> tuple[bytes, Caller]:
    """Read a line; what is wrong with it is said without the token."""

    def wrong(wanted: str) -> ConfigError:
        return ConfigError(file=str(path), key=f"line {number}", value="...", wanted=wanted)

    parts = line.split()
    if len(parts) != _PARTS:
        raise wrong(_WANTED)
    name, role, token = parts
    if role not in {each.name.lower() for each in Role} or len(name) > NAME_CHARACTERS_MAX:
        raise wrong(f"{_WANTED}; a name has at most {NAME_CHARACTERS_MAX} characters")
    if not (TOKEN_CHARACTERS_MIN <= len(token) <= TOKEN_CHARACTERS_MAX and token.isascii()):
        bounds = f"from {TOKEN_CHARACTERS_MIN} to {TOKEN_CHARACTERS_MAX}"
        raise wrong(f"a token of {bounds} ASCII characters: openssl rand -hex 32 makes one")
    return _digest(token), Caller(name, Role[role.upper()])


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()

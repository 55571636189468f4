"""Patterns that users give, searched in time that grows with the text and no faster.

Python's own expressions go back and try again: a pattern of ten characters can keep a worker busy
for ever, and with it all its leases. RE2 never goes back, and refuses what needs to (references,
looking around) and what takes more memory than it may. Source: RE2, "Syntax" and "WhyRE2".
"""

from collections.abc import Callable
from typing import Any

from surgetank.core.errors import InvalidInputError

PATTERN_CHARACTERS_MAX = 200
PATTERN_BYTES_MAX = 128 * 1024
"""Memory of one compiled pattern. Measured: the worst that fits takes a quarter of a second for
16 KiB of text, where common ones take a thousandth of that."""


def compile_pattern(pattern: str) -> Callable[[bytes], bool]:
    """Give what tells whether `pattern` is found anywhere in a text.

    The text is UTF-8; bytes that are not never match.

    Raises:
        InvalidInputError: It is no pattern of RE2, or takes too much memory.
    """
    # Imported here: it takes 20 ms, which drills have no use for.
    import re2  # type: ignore[import-untyped] # noqa: PLC0415 # pyright: ignore[reportMissingTypeStubs] - ships no types; see above

    library: Any = re2
    options = library.Options()
    options.log_errors = False
    options.max_mem = PATTERN_BYTES_MAX
    options.never_capture = True
    try:
        compiled = library.compile(pattern, options)
    except library.error as error:
        said = error.args[0]
        why = said.decode(errors="replace") if isinstance(said, bytes) else said
        raise InvalidInputError(f"pattern {pattern!r}: {why}") from error
    return lambda text: compiled.search(text) is not None

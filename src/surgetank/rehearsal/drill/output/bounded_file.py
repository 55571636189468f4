"""Reads back a file that a drill wrote, up to a limit: whatever else stands there is refused."""

from pathlib import Path

from surgetank.core.errors import ConfigError


def read_bounded(path: Path, *, bytes_max: int, wanted: str) -> bytes:
    """Read a file whole, unless it is too large.

    Args:
        path: Of any kind: a device or a pipe is read no further than `bytes_max`.
        bytes_max: Largest file that is read; above 0.
        wanted: What the file should be, for whoever named another.

    Raises:
        ConfigError: It cannot be read, or is larger.
    """
    try:
        with path.open("rb") as file:
            content = file.read(bytes_max + 1)
    except OSError as error:
        raise ConfigError(file=str(path), key="(file)", value=str(error), wanted=wanted) from None
    if len(content) > bytes_max:
        most = f"at most {bytes_max} bytes"
        raise ConfigError(file=str(path), key="(size)", value="(more)", wanted=most)
    return content

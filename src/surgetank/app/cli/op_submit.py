"""`surgetank op submit`: one operation of a file, or many."""

import asyncio
import sys
from collections.abc import Mapping, Sequence
from json import JSONDecodeError, loads
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from surgetank.app.cli.op_asking import Asking, Where, asking
from surgetank.app.cli.op_option import ServerOption, StoreOption, where
from surgetank.app.cli.op_table import show_receipts
from surgetank.app.cli.output import JsonFlag, print_json
from surgetank.core.errors import ConfigError, InvalidInputError, SurgetankError
from surgetank.safeguards.operations.api.path import OPERATIONS
from surgetank.safeguards.operations.key import time_ordered_key

__all__ = ["register"]

FILE_BYTES_MAX = 256 << 20
"""Of what is read: some hundred thousand operations."""
AT_ONCE = 64
"""Submissions under way at once: the store writes them down together."""

FileArgument = Annotated[
    Path, typer.Argument(metavar="FILE", help="JSON, or - for standard input.", allow_dash=True)
]


def register(group: typer.Typer) -> None:
    """Add `submit` to the commands of operations."""
    group.command("submit")(_submit)


def _submit(
    file: FileArgument,
    *,
    server: ServerOption = None,
    store: StoreOption = None,
    json: JsonFlag = False,
) -> None:
    """Submit the operation of FILE, or one a line where each line is a JSON object.

    Each has a `key`, made before: then FILE may be submitted again, and nothing is done twice. A
    single one without a key gets one, which is printed. Exits 0 once all are stored.

    \b
    surgetank op submit vm.json
    jq -c .[] vms.json | surgetank op submit -
    surgetank op submit vm.json --store operations.db
    """  # noqa: D301 - click wants the character, not the two that spell it
    operations = _read(file)
    receipts = asyncio.run(_submit_all(where(server, store), operations))
    print_json({"operations": receipts}) if json else show_receipts(receipts)


async def _submit_all(
    place: Where, operations: Sequence[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """Submit some at once, until all are stored or one is refused."""
    async with asking(place, may_create=True) as asked:
        receipts = list[Mapping[str, Any]]()
        for begin in range(0, len(operations), AT_ONCE):
            batch = [_keyed(each, asked) for each in operations[begin : begin + AT_ONCE]]
            answers = await asyncio.gather(
                *(asked.ask("POST", OPERATIONS, body=each) for each in batch),
                return_exceptions=True,
            )
            for operation, answer in zip(batch, answers, strict=True):
                if isinstance(answer, BaseException):
                    raise _told(answer, operation, stored=len(receipts))
                receipts.append(answer)
    return receipts


def _keyed(operation: Mapping[str, Any], asked: Asking) -> Mapping[str, Any]:
    if operation.get("key") is not None:
        return operation
    return {**operation, "key": time_ordered_key(now=asked.clock.now(), chance=asked.chance)}


def _told(error: BaseException, operation: Mapping[str, Any], *, stored: int) -> BaseException:
    """Say which operation it was, and what may be done again."""
    if isinstance(error, SurgetankError):
        error.add_note(f"key {str(operation['key'])[:200]}; {stored} before it are stored")
        error.add_note("with the same keys all may be submitted again: nothing is done twice")
    return error


def _read(file: Path) -> list[Mapping[str, Any]]:
    """Read one object, or one a line.

    Raises:
        ConfigError: A line is no JSON object, or one of many has no key.
        InvalidInputError: The file cannot be read, is too large, or holds nothing.
    """
    text = _text(file)
    try:
        found = [(1, loads(text))]
    except (ValueError, RecursionError):
        lines = enumerate(text.splitlines(), start=1)
        found = [(number, _parsed(file, number, line)) for number, line in lines if line.strip()]
    if not found:
        raise InvalidInputError(f"{file}: holds no operation")
    operations = [_object(file, *each) for each in found]
    for (number, _), operation in zip(found, operations, strict=True):
        if len(found) > 1 and operation.get("key") is None:
            wanted = "a key for each of several, so that the file can be submitted again"
            raise _wrong(file, number, operation, wanted)
    return operations


def _object(file: Path, number: int, found: object) -> Mapping[str, Any]:
    if not isinstance(found, dict):
        raise _wrong(file, number, found, "a JSON object, or one on each line")
    return cast("dict[str, Any]", found)


def _parsed(file: Path, number: int, line: str) -> Any:
    try:
        return loads(line)
    except (JSONDecodeError, RecursionError) as error:
        raise _wrong(file, number, line, f"JSON: {error}") from error


def _wrong(file: Path, number: int, value: object, wanted: str) -> ConfigError:
    return ConfigError(file=str(file), key=f"line {number}", value=str(value)[:200], wanted=wanted)


def _text(file: Path) -> str:
    try:
        if str(file) == "-":
            content = sys.stdin.buffer.read(FILE_BYTES_MAX + 1)
        else:
            with file.open("rb") as opened:
                content = opened.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise InvalidInputError(f"{file}: cannot be read: {error.strerror}") from error
    if len(content) > FILE_BYTES_MAX:
        raise InvalidInputError(f"{file}: larger than {FILE_BYTES_MAX} bytes")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"{file}: not UTF-8: {error}") from error

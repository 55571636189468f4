"""`surgetank config`: check a configuration file, explain its keys, print its schema."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from json import dumps
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from surgetank.app.cli.output import JsonFlag, console, print_json
from surgetank.runtime import config

__all__ = ["register"]

FileArgument = Annotated[
    Path, typer.Argument(metavar="FILE", envvar="SURGETANK_CONFIG", help="The configuration file.")
]
FileOption = Annotated[
    Path | None, typer.Option("--file", metavar="FILE", help="Also show the value in this file.")
]
KeyArgument = Annotated[
    str | None,
    typer.Argument(metavar="[KEY]", help="Dotted, as operations.lease_s; none for all."),
]


def register(app: typer.Typer) -> None:
    """Add `config` to the command line."""
    group = typer.Typer(
        help="Check and explain the configuration file.",
        rich_markup_mode=None,
    )
    group.command("check")(_check)
    group.command("explain")(_explain)
    group.command("schema")(_schema)
    app.add_typer(group, name="config")


def _check(file: FileArgument = Path("surgetank.toml"), *, json: JsonFlag = False) -> None:
    """Say all that is wrong with FILE.

    Exits 0 when nothing is, 2 otherwise.

    \b
    surgetank config check
    surgetank config check /etc/surgetank.toml --json
    """  # noqa: D301 - click wants the character, not the two that spell it
    configuration = config.read(file)
    sections = [name for name in type(configuration).model_fields if getattr(configuration, name)]
    if json:
        print_json({"file": str(file), "is_usable": True, "sections": sections})
    else:
        typer.echo(f"{file}: good ({', '.join(sections)})")


def _explain(key: KeyArgument = None, *, file: FileOption = None, json: JsonFlag = False) -> None:
    """Say what KEY means, its default and why.

    A section lists its keys; explain one of them for its whole story.

    \b
    surgetank config explain operations.lease_s
    surgetank config explain mirror --file /etc/surgetank.toml
    """  # noqa: D301 - click wants the character, not the two that spell it
    found = config.explain(key) if key else config.keys()
    values: dict[str, object] = {}
    if file:
        configuration = config.read(file)
        values = {entry.name: config.value(configuration, entry.name) for entry in found}
    if json:
        print_json({"keys": [_document(entry, values) for entry in found]})
    elif len(found) == 1:
        _print_key(found[0], values)
    else:
        _print_keys(found, values)


def _schema(*, json: JsonFlag = False) -> None:
    """Print the file's JSON Schema, for editors."""
    del json  # JSON is what a schema is
    print_json(config.schema())


def _document(entry: config.Key, values: Mapping[str, object]) -> dict[str, object]:
    return asdict(entry) | ({"value": values[entry.name]} if values else {})


def _print_key(entry: config.Key, values: Mapping[str, object]) -> None:
    """One key in full."""
    kind = f"{entry.kind}, {entry.unit}" if entry.unit else entry.kind
    typer.echo(f"{entry.name}  ({kind})")
    typer.echo(f"  {' '.join(entry.description.split())}")
    if entry.is_required:
        typer.echo("  required")
    elif entry.kind != "table":
        typer.echo(f"  default: {_toml(entry.default)}")
    if values:
        typer.echo(f"  in this file: {_toml(values[entry.name])}")


def _print_keys(entries: Sequence[config.Key], values: Mapping[str, object]) -> None:
    """Many keys, one a row, with the first sentence of each."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("key", no_wrap=True)
    table.add_column("value" if values else "default")
    table.add_column("meaning")
    for entry in entries:
        sentence = " ".join(entry.description.split()).partition(". ")[0]
        table.add_row(entry.name, _cell(entry, values), sentence.removesuffix("."))
    console().print(table)


def _cell(entry: config.Key, values: Mapping[str, object]) -> str:
    if "table" in entry.kind:
        return f"[{entry.kind}]".replace("[", "\\[")
    if values:
        return _toml(values[entry.name])
    return "required" if entry.is_required else _toml(entry.default)


def _toml(value: object) -> str:
    """`value` as the file would say it."""
    return "inf" if value is None else dumps(value)

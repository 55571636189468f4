"""One TOML file to policies: read once, checked whole, explained key by key.

The policies are the dataclasses of `control` and of the safeguards, with their own docstrings and
their own checks; this module only nests them. It is the only place that knows the file.
TOML has no null, so `inf` stands for None ("for ever", "never") where a key allows it.
"""

import json
import math
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import MISSING, Field, dataclass, field, fields, replace
from datetime import date, time
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import parse_qs, urlsplit

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails, to_jsonable_python

from surgetank.control.breaker import BreakerPolicy
from surgetank.control.budget import BudgetPolicy
from surgetank.control.evidence import EvidencePolicy
from surgetank.control.governor import GovernorPolicy
from surgetank.control.release import ReleasePolicy
from surgetank.core.errors import ConfigError, InvalidInputError
from surgetank.runtime.policy import ServePolicy, Sharing
from surgetank.safeguards.broker.policy import BrokerPolicy
from surgetank.safeguards.mirror.policy import MirrorPolicy
from surgetank.safeguards.operations.command_action import CommandActionPolicy
from surgetank.safeguards.operations.policy import OperationsPolicy

__all__ = [
    "FILE_BYTES_MAX",
    "Configuration",
    "Governor",
    "Key",
    "explain",
    "keys",
    "read",
    "schema",
    "value",
]

FILE_BYTES_MAX = 1 << 20
"""Largest file read; a fleet's rules and pins fit a hundred times over."""

_VALUE_CHARACTERS_MAX = 200
_NOTES_MAX = 50

Location = tuple[str | int, ...]
Tree: TypeAlias = (
    "dict[str, Tree] | list[Tree] | str | float | bool | date | time | None"  # TOML, or JSON
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Governor(GovernorPolicy):
    """A governor as an operator may set it: always with breaker and budget, and with our law.

    A test holds its defaults and descriptions to those of `GovernorPolicy`.
    """

    breaker: BreakerPolicy = field(default_factory=BreakerPolicy)
    """When to stop calling a dependency that fails, and how to probe it."""
    budget: BudgetPolicy = field(default_factory=BudgetPolicy)
    """How many retries there may be."""
    evidence: EvidencePolicy = field(default_factory=EvidencePolicy)
    """How results are gathered before the law looks at them."""
    law: ReleasePolicy = field(default_factory=ReleasePolicy)
    """How fast a backlog is let through."""
    burst_s: float = 0.1
    """Unused pace that may be caught up, in seconds; 0 or more. Covers callers that wake late."""
    hold_s_max: float = 300.0
    """Farthest `retry_at`, and longest Retry-After obeyed for the backlog, in seconds; above 0."""
    lost_s: float = 120.0
    """A permit not reported within this many seconds frees its slot, at the latest after twice as
    long; above 0. Longer than any call's time-out."""
    shed_s: float = 5.0
    """Least seconds until a shed fresh call may ask again; above 0."""
    fresh_first_s: float = 5.0
    """Seconds that probes are kept for fresh calls, if any asked while open; 0 or more."""


class Configuration(BaseModel):
    """Everything an operator may set. A section that is left out has its defaults."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )

    directory: Path = Path("/var/lib/surgetank")
    """Where what must outlive a restart is kept: operations, mirrored artifacts, tokens. A relative
    one starts at the folder of the file. The default is where Linux keeps a service's state."""
    store: str = "operations.db"
    """Where operations are kept: a file of SQLite, a relative one in `directory`, or the address of
    a PostgreSQL database that several servers share, as `postgresql://surgetank@db/surgetank`. An
    address has no password: PGPASSWORD and PGPASSFILE give it."""
    sharing: Sharing = Sharing.SHARED
    """With whom the governors are shared: `shared` with all servers of the store, which together
    obey one pace, window, breaker and retry budget for each dependency, and with the next start of
    this one, which goes on at the last pace; `own` with nobody, so that each server lets through as
    much as one alone may, and a restart begins anew. With PostgreSQL they are in the database of
    the store, else in `governors.db` of `directory`."""
    serve: ServePolicy = ServePolicy()
    """Where `surgetank serve` listens, and whom it obeys."""
    operations: OperationsPolicy = OperationsPolicy()
    """How durable work is run."""
    command: CommandActionPolicy | None = None
    """Which programs operations may run, and how; left out, none: whoever may submit could run
    what he likes as the user of the server."""
    governor: Governor = Governor()
    """How calls to one dependency are let through; the same for each."""
    mirror: MirrorPolicy | None = None
    """What is mirrored, and how long it is believed; left out, nothing is."""
    broker: BrokerPolicy | None = None
    """How tokens are kept for the clients of this node; left out, they are not."""


_OPTIONAL = {"command": CommandActionPolicy, "mirror": MirrorPolicy, "broker": BrokerPolicy}
"""Sections that are off when left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """What one key of the file means."""

    name: str
    """Dotted, as in `mirror.rules.host`."""
    kind: str
    """What TOML value it takes."""
    unit: str
    """What a number counts; empty where the kind says it all."""
    default: object
    """Its value when left out. None for `inf`, and for a table: its keys have their own."""
    is_required: bool
    """It must be given, once its section is."""
    description: str
    """What it does, its range, and the reason for its default."""


def read(path: Path) -> Configuration:
    """Read a file into policies, or say all that is wrong with it.

    Raises:
        ConfigError: A key or a value cannot be used. Names the first; the others follow as notes,
            at most 50.
        InvalidInputError: The file cannot be read, is over 1 MiB, or is not TOML.
    """
    raw = _parse(path)
    try:
        configuration = _validate(raw)
    except ValidationError as invalid:
        raise _first_with_notes(_problems(path, raw, _every_error(raw, invalid))) from None
    _check_store(path, configuration.store)
    serve, tokens = configuration.serve, configuration.serve.tokens
    if tokens is not None:
        serve = replace(serve, tokens=path.parent / tokens)
    directory = path.parent / configuration.directory
    return configuration.model_copy(update={"directory": directory, "serve": serve})


def _check_store(path: Path, store: str) -> None:
    """Refuse a secret in the file, without showing it."""
    address = urlsplit(store)
    if address.password or "password" in parse_qs(address.query):
        wanted = "an address without a password: give that by PGPASSWORD or PGPASSFILE"
        raise ConfigError(
            file=str(path), key="store", value=f"{address.scheme}://...", wanted=wanted
        )


def schema() -> dict[str, Any]:
    """JSON Schema of the file, for editors and for the reference page."""
    return Configuration.model_json_schema()


def keys() -> tuple[Key, ...]:
    """Every key there is, sections before what they hold, in the order of the reference."""
    document = schema()
    return tuple(_walk(document, document["$defs"], prefix="", defaults=_defaults()))


def explain(name: str) -> tuple[Key, ...]:
    """What `name` means: the key itself, then what it holds.

    Raises:
        InvalidInputError: There is no such key; the message names the nearest.
    """
    every = keys()
    found = tuple(key for key in every if key.name == name or key.name.startswith(f"{name}."))
    if not found:
        raise InvalidInputError(f"no key {name!r}{_nearest(name, [key.name for key in every])}")
    return found


def value(configuration: Configuration, name: str) -> object:
    """What `configuration` says for the key `name`; a list where the key is inside a list.

    None where the key, or a section above it, is left out and has no default.
    """
    found: Tree = configuration.model_dump(mode="json")
    for part in name.split("."):
        found = _inside(found, part)
    return found


def _inside(node: Tree, part: str) -> Tree:
    match node:
        case dict():
            return node.get(part)
        case list():
            return [_inside(item, part) for item in node]
        case _:
            return None


def _parse(path: Path) -> dict[str, Tree]:
    try:
        with path.open("rb") as file:
            content = file.read(FILE_BYTES_MAX + 1)
        if len(content) > FILE_BYTES_MAX:
            raise InvalidInputError(f"{path}: larger than {FILE_BYTES_MAX} bytes")
        return tomllib.loads(content.decode())
    except OSError as error:
        raise InvalidInputError(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"{path}: not TOML: {error}") from error
    except RecursionError as error:
        raise InvalidInputError(f"{path}: nested too deeply") from error


def _plain(tree: Tree) -> Tree:
    """`tree` in what JSON has: `inf` becomes null, a date its text."""
    match tree:
        case dict():
            return {name: _plain(item) for name, item in tree.items()}
        case list():
            return [_plain(item) for item in tree]
        case float() if math.isinf(tree):
            return None
        case date() | time():
            return tree.isoformat()
        case _:
            return tree


def _validate(raw: Tree) -> Configuration:
    """Read `raw` over the defaults: a key that is given leaves its neighbours as they are."""
    given = raw if isinstance(raw, dict) else {}
    defaults = {name: table for name, table in _defaults().items() if name in given}
    return Configuration.model_validate_json(json.dumps(_over(defaults, _plain(raw))))


def _defaults() -> dict[str, Tree]:
    """What each key of the file is when left out; what must be given is not in it."""
    sections = {
        name: {
            field.name: default
            for field in fields(policy)
            if (default := _default(field)) is not MISSING
        }
        for name, policy in _OPTIONAL.items()
    }
    defaults: dict[str, Tree] = to_jsonable_python(dict(Configuration()) | sections)
    return defaults


def _default(field: Field[Any]) -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()


def _over(under: Tree, tree: Tree) -> Tree:
    match under, tree:
        case dict(), dict():
            return under | {name: _over(under.get(name), item) for name, item in tree.items()}
        case _:
            return tree


def _every_error(raw: Tree, first: ValidationError) -> list[ErrorDetails]:
    """What `first` found, then what it hid: a policy is checked only when all its types fit."""
    errors = first.errors()
    whole = {error["loc"] for error in errors if error["type"] == "value_error"}
    try:
        _validate(_without(raw, {error["loc"] for error in errors} - whole))
    except ValidationError as second:
        hidden = (error for error in second.errors() if error["type"] == "value_error")
        errors += [error for error in hidden if error["loc"] not in whole]
    return errors


def _without(tree: Tree, gone: AbstractSet[Location], at: Location = ()) -> Tree:
    match tree:
        case dict():
            kept = {name: item for name, item in tree.items() if (*at, name) not in gone}
            return {name: _without(item, gone, (*at, name)) for name, item in kept.items()}
        case list():
            return [_without(item, gone, (*at, index)) for index, item in enumerate(tree)]
        case _:
            return tree


def _first_with_notes(problems: Sequence[ConfigError]) -> ConfigError:
    first, *rest = problems
    for problem in rest[:_NOTES_MAX]:
        first.add_note(str(problem))
    if len(rest) > _NOTES_MAX:
        first.add_note(f"and {len(rest) - _NOTES_MAX} more")
    return first


def _problems(path: Path, raw: Tree, errors: Sequence[ErrorDetails]) -> list[ConfigError]:
    known = {key.name: key for key in keys()}
    return [
        ConfigError(
            file=str(path),
            key=_written(location),
            value=_shown(_at(raw, location)),
            wanted=_wanted(error, _name(location), known),
        )
        for error in errors
        for location in _culprits(raw, error)
    ]


def _culprits(raw: Tree, error: ErrorDetails) -> list[Location]:
    """Where the fault lies: a policy checks its fields together and names only itself."""
    location = error["loc"]
    table = _at(raw, location)
    if error["type"] != "value_error" or not isinstance(table, dict):
        return [location]
    alone = [(*location, name) for name, item in table.items() if _fails(location, {name: item})]
    return list[Location](alone) or [location]


def _fails(location: Location, table: Tree) -> bool:
    """Whether `table` fails its policy's check with everything else left at its default."""
    for part in reversed(location):
        table = {part: table} if isinstance(part, str) else [table]
    try:
        _validate(table)
    except ValidationError as invalid:
        return any(error["type"] == "value_error" for error in invalid.errors())
    return False


def _wanted(error: ErrorDetails, name: str, known: Mapping[str, Key]) -> str:
    if error["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        return f"no such key{_nearest(name, list(known))}"
    description = " ".join(known[name].description.split()) if name in known else ""
    if error["type"] == "missing":
        return f"required. {description}"
    reason = error["msg"].removeprefix("Value error, ").removeprefix("Input ")
    if reason.startswith("out of range"):
        reason = "out of range"
    return f"{reason}. {description}"


def _nearest(name: str, names: Sequence[str]) -> str:
    """Words that lead from a name that is not to one that is: its neighbours first."""
    section, _, leaf = name.rpartition(".")
    neighbours = {other.rpartition(".")[2]: other for other in names if _section(other) == section}
    choices = neighbours or {other: other for other in names}
    near = get_close_matches(leaf if neighbours else name, list(choices), n=1)
    if near:
        return f"; did you mean {choices[near[0]]!r}?"
    return f"; there are {', '.join(choices.values())}"


def _section(name: str) -> str:
    return name.rpartition(".")[0]


def _at(tree: Tree, location: Location) -> Tree:
    """What stands at `location`; None where nothing does."""
    for part in location:
        match tree, part:
            case dict(), str():
                tree = tree.get(part)
            case list(), int():
                tree = tree[part]
            case _:
                raise AssertionError(f"a place that the file does not have: {location}")
    return tree


def _written(location: Location) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return text.removeprefix(".")


def _name(location: Location) -> str:
    return ".".join(part for part in location if isinstance(part, str))


def _shown(tree: Tree) -> Tree:
    """`tree`, or the beginning of its text where it would fill a screen."""
    text = repr(tree)
    return tree if len(text) <= _VALUE_CHARACTERS_MAX else text[:_VALUE_CHARACTERS_MAX] + "..."


_NONE = re.compile(r"\bNone\b")


def _walk(
    node: Mapping[str, Any], defs: Mapping[str, Any], *, prefix: str, defaults: Mapping[str, Any]
) -> Iterator[Key]:
    """Every key below `node`; `defaults` are those that the table above it gives."""
    required = node.get("required", ())
    for name, written in node.get("properties", {}).items():
        child = _resolved(written, defs)
        kind = _kind(child, defs)
        default = defaults.get(name, written.get("default"))
        yield Key(
            name=f"{prefix}{name}",
            kind=kind,
            unit=_unit(name) if kind.startswith(("number", "whole")) else "",
            default=None if kind == "table" else default,
            is_required=name in required,
            description=_NONE.sub("inf", written.get("description", "")),
        )
        below = _held(child, defs)
        yield from _walk(below, defs, prefix=f"{prefix}{name}.", defaults=default or {})


def _resolved(node: Mapping[str, Any], defs: Mapping[str, Any]) -> Mapping[str, Any]:
    """`node` with its reference followed."""
    reference = node.get("$ref")
    return defs[reference.rpartition("/")[2]] if reference else node


def _held(node: Mapping[str, Any], defs: Mapping[str, Any]) -> Mapping[str, Any]:
    """The table whose keys stand below `node`: itself, its items, or what is not null in it."""
    if "items" in node:
        return _resolved(node["items"], defs)
    choices = [choice for choice in node.get("anyOf", ()) if choice.get("type") != "null"]
    return _held(_resolved(choices[0], defs), defs) if choices else node


_KINDS = {
    "array": "list",
    "boolean": "true or false",
    "integer": "whole number",
    "null": "inf",
    "number": "number",
    "object": "table",
    "string": "text",
}


def _kind(node: Mapping[str, Any], defs: Mapping[str, Any]) -> str:
    node = _resolved(node, defs)
    if "enum" in node:
        return " or ".join(json.dumps(choice) for choice in node["enum"])
    if "anyOf" in node:
        kinds = [_kind(choice, defs) for choice in node["anyOf"]]
        return "table" if "table" in kinds else " or ".join(kinds)
    if "items" in node:
        return f"list of {_kind(node['items'], defs)}"
    return _KINDS[node["type"]]


_UNITS = {
    "_per_s": "per second",
    "_s": "seconds",
    "_bytes": "bytes",
    "bytes": "bytes",
    "ratio": "ratio, 0 to 1",
    "share": "ratio, 0 to 1",
}
"""By the end of a key's name, bounds taken off; a longer end before a shorter one."""


def _unit(name: str) -> str:
    bare = name
    for qualifier in ("_max", "_min", "_limit", "_unlearnt"):
        bare = bare.removesuffix(qualifier)
    return next((unit for end, unit in _UNITS.items() if bare.endswith(end)), "count")

"""A recorded run: every noted event as a line of JSON, and the play that is held against it.

A trace has a header, `[instant, fact...]` for each event as it was hashed, and an end with the
count and the hash. Text without an end is no trace: it was cut short. A trace is replayed with
the scenario that it was made of, which a digest tells; whatever then differs is the code's doing.
"""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from surgetank import __version__
from surgetank.core.errors import ConfigError, InvalidInputError
from surgetank.rehearsal.drill.digest import digest
from surgetank.rehearsal.drill.output.bounded_file import read_bounded
from surgetank.rehearsal.drill.play import Run, play
from surgetank.rehearsal.drill.wording import count, printable
from surgetank.rehearsal.scenario.schema import Scenario
from surgetank.runtime.simulation.trace import Fact, Trace

SCHEMA = "surgetank/drill-trace/v1"
TRACE_BYTES_MAX = 64 << 20
"""Longest trace written or read; that of a whole incident is a few megabytes."""
BEFORE_SHOWN = 3
"""Events shown before the one at which play and trace part."""
_LINES_MIN = 3
"""A header, an end, and nothing behind its break."""
_VALUE_CHARACTERS_MAX = 80
_INSTANT_MAX = 253_402_300_800
"""The year 10,000, in seconds since 1970."""


class _Line(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Header(_Line):
    """The first line: which run it is, and what recorded it."""

    schema_: Annotated[Literal["surgetank/drill-trace/v1"], Field(alias="schema")]
    scenario: str
    scenario_digest: str
    variant: str
    seed: Annotated[int, Field(ge=0)]
    surgetank: str


class End(_Line):
    """The last line."""

    events: Annotated[int, Field(ge=0)]
    trace_hash: str


_Model = TypeVar("_Model", bound=_Line)


class Recording(NamedTuple):
    """A trace that was read."""

    header: Header
    events: list[str]
    """Lines without their breaks, written as `record` writes them."""
    end: End
    is_intact: bool
    """Whether the events give the hash at the end: nobody changed them since."""


class Parting(NamedTuple):
    """The first event at which a play and its trace differ."""

    number: int
    """Counted from 1."""
    before: Sequence[str]
    """The last events that were alike, at most `BEFORE_SHOWN`."""
    recorded: str | None
    """None: the trace has ended."""
    played: str | None
    """None: the play has ended."""


class Replay(NamedTuple):
    """What came of playing a trace again."""

    events: int
    """Those played."""
    parting: Parting | None
    """None: they are equal to the last."""


def record(
    scenario: Scenario,
    variant: str,
    *,
    seed: int,
    write: Callable[[str], object],
    bytes_max: int = TRACE_BYTES_MAX,
) -> Run:
    """Play one run and write its trace while it goes on.

    Args:
        scenario: What happens.
        variant: One of its variants.
        seed: Of all that is left to chance.
        write: Takes each line, its break included; who calls keeps the file whole or nothing.
        bytes_max: Longest trace; above 0.

    Raises:
        InvalidInputError: The trace would be longer than `bytes_max`.
        SimulationError: A service failed in a way that no caller saw: our own fault.
    """
    header = {
        "schema": SCHEMA,
        "scenario": scenario.name,
        "scenario_digest": digest(scenario),
        "variant": variant,
        "seed": seed,
        "surgetank": __version__,
    }
    written = 0

    def keep(now: float, facts: tuple[Fact, ...]) -> None:
        nonlocal written
        line = _encoded(now, facts)
        written += len(line) + 1
        if written <= bytes_max:  # What is too long is refused once the run has ended.
            write(f"{line}\n")

    write(f"{json.dumps(header)}\n")
    trace = Trace(keep)
    run = play(scenario, variant, seed=seed, trace=trace)
    if written > bytes_max:
        wanted = f"at most {bytes_max}; a shorter scenario or a smaller scale gives less"
        raise InvalidInputError(f"the trace of {variant}, seed {seed}: {written} bytes: {wanted}")
    write(f"{json.dumps({'events': trace.notes, 'trace_hash': run.trace_hash})}\n")
    return run


def read(path: Path) -> Recording:
    """Read a trace whole.

    Raises:
        ConfigError: It cannot be read, is too long, is cut short, or holds what no trace holds.
    """
    wanted = "a trace that `surgetank drill --trace PATH` wrote"
    lines = read_bounded(path, bytes_max=TRACE_BYTES_MAX, wanted=wanted).split(b"\n")
    header = _model(path, 1, lines[0], Header)
    if len(lines) < _LINES_MIN or lines[-1] or not lines[-2].startswith(b"{"):
        raise _error(path, len(lines), lines[-1], "a whole trace, with its end: it was cut short")
    end = _model(path, len(lines) - 1, lines[-2], End)
    trace = Trace()
    events: list[str] = []
    for number, line in enumerate(lines[1:-2], start=2):
        now, facts = _decoded(path, number, line)
        trace.note(now, *facts)
        events.append(_encoded(now, facts))
    if len(events) != end.events:
        wanted = f"{end.events} events, as its end says; there are {len(events)}"
        raise _error(path, len(lines) - 1, lines[-2], wanted)
    return Recording(header, events, end, trace.digest() == end.trace_hash)


def replay(recording: Recording, scenario: Scenario) -> Replay:
    """Play a recorded run again with the code at hand.

    Raises:
        InvalidInputError: The trace was made of another scenario, or its end is not its own.
        SimulationError: A service failed in a way that no caller saw: our own fault.
    """
    header = recording.header
    here = digest(scenario)
    if (header.scenario, header.scenario_digest) != (scenario.name, here):
        raise InvalidInputError(
            f"the trace was made of {header.scenario} {header.scenario_digest}, and this is "
            f"{scenario.name} {here}: give the scenario file as it was then"
        )
    if header.variant not in scenario.variants:
        raise InvalidInputError(f"{scenario.name} has no variant {header.variant!r}")
    differing: list[tuple[int, str]] = []

    def compare(now: float, facts: tuple[Fact, ...]) -> None:
        number = trace.notes
        if not differing:
            line = _encoded(now, facts)
            if number > len(recording.events) or line != recording.events[number - 1]:
                differing.append((number, line))

    trace = Trace(compare)
    play(scenario, header.variant, seed=header.seed, trace=trace)
    if not differing and trace.notes == len(recording.events):
        if not recording.is_intact:
            raise InvalidInputError("the hash at the end of the trace is not that of its events")
        return Replay(trace.notes, None)
    number, played = differing[0] if differing else (trace.notes + 1, None)
    alike = recording.events[max(0, number - 1 - BEFORE_SHOWN) : number - 1]
    recorded = recording.events[number - 1] if number <= len(recording.events) else None
    return Replay(trace.notes, Parting(number, alike, recorded, played))


def document(recording: Recording, found: Replay) -> dict[str, Any]:
    """Put what came of a replay as JSON, for programs."""
    header, parting = recording.header, found.parting
    return {
        "schema": "surgetank/drill-replay/v1",
        "scenario": header.scenario,
        "variant": header.variant,
        "seed": header.seed,
        "recorded_by": header.surgetank,
        "played_by": __version__,
        "equal": parting is None,
        "events": {"recorded": recording.end.events, "played": found.events},
        "intact": recording.is_intact,
        "parting": None
        if parting is None
        else {
            "event": parting.number,
            "before": [json.loads(line) for line in parting.before],
            "recorded": _loaded(parting.recorded),
            "played": _loaded(parting.played),
        },
    }


def describe(recording: Recording, found: Replay) -> str:
    """Say what came of a replay, for people."""
    header, parting = recording.header, found.parting
    run = f"{printable(header.variant)}, seed {header.seed}"
    if parting is None:
        return f"equal, {count(found.events, 'event')}: {run}"
    first = parting.number - len(parting.before)
    alike = [("", number, line) for number, line in enumerate(parting.before, start=first)]
    sides = [("trace", parting.number, parting.recorded), ("here", parting.number, parting.played)]
    lines = [
        f"parted at event {parting.number:,} of {recording.end.events:,}: {run}",
        *(f"{side:>5} {number:>8,}  {_shown(line)}" for side, number, line in (*alike, *sides)),
        f"recorded by surgetank {printable(header.surgetank)}, played by {__version__}",
    ]
    if not recording.is_intact:
        lines.append("the trace does not give its own hash: it was changed since it was written")
    return "\n".join(lines)


def _shown(line: str | None) -> str:
    if line is None:
        return "(the end)"
    now, *facts = json.loads(line)
    clock = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
    return f"{clock}  {printable(' '.join(map(str, facts)))}"


def _loaded(line: str | None) -> Any:
    return None if line is None else json.loads(line)


def _encoded(now: float, facts: Sequence[Fact]) -> str:
    plain = [{"bytes": one.hex()} if isinstance(one, bytes) else one for one in facts]
    return json.dumps([now, *plain], separators=(",", ":"))


def _decoded(path: Path, number: int, line: bytes) -> tuple[float, tuple[Fact, ...]]:
    try:
        now, *facts = json.loads(line)
        return _instant(now), tuple(_fact(one) for one in facts)
    except (ValueError, TypeError, RecursionError):
        raise _error(path, number, line, "an event: [instant, fact, ...]") from None


def _instant(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError("no instant")
    if not 0 <= value < _INSTANT_MAX:
        raise ValueError("no instant that has a date")
    return value


def _fact(value: Any) -> Fact:
    match value:
        case None | str() | int() | float():
            return value
        case {"bytes": str(text)}:
            return bytes.fromhex(text)
        case _:
            raise TypeError("no fact")


def _model(path: Path, number: int, line: bytes, cls: type[_Model]) -> _Model:
    try:
        return cls.model_validate_json(line)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or cls.__name__.lower()
        wanted = f"{where}: {first['msg']}; a trace has a header, events and an end"
        raise _error(path, number, line, wanted) from None


def _error(path: Path, number: int, line: bytes, wanted: str) -> ConfigError:
    value = line[:_VALUE_CHARACTERS_MAX].decode(errors="replace")
    return ConfigError(file=f"{path}:{number}", key="(line)", value=value, wanted=wanted)

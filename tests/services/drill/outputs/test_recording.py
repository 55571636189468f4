"""A recorded run is played again to the same events, or says where it parts; a bad trace is refused."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from surgetank import __version__
from surgetank.app.wiring import quiet_logs
from surgetank.core.errors import ConfigError, InvalidInputError
from surgetank.rehearsal.drill.digest import digest
from surgetank.rehearsal.drill.output.recording import (
    TRACE_BYTES_MAX,
    Parting,
    describe,
    document,
    read,
    record,
    replay,
)
from surgetank.rehearsal.drill.play import play
from surgetank.rehearsal.scenario.schema import Scenario
from surgetank.runtime.simulation.trace import Fact, Trace

Lines = list[str]
Read = Callable[[Lines], Any]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("trace") / "run.jsonl"


@pytest.fixture
def lines(recorded: Path, ten_minutes: Scenario) -> Lines:
    """The lines of one trace, recorded once."""
    quiet_logs()
    if not recorded.exists():
        with recorded.open("w") as file:
            record(ten_minutes, "nobody", seed=1, write=file.write)
    return recorded.read_text().splitlines()


@pytest.fixture
def reread(tmp_path: Path) -> Read:
    """Write lines to a file, and read it."""

    def reread(lines: Lines) -> Any:
        path = tmp_path / "changed.jsonl"
        path.write_text("".join(f"{line}\n" for line in lines))
        return read(path)

    return reread


def flipped(line: str) -> str:
    """An event whose last fact is another."""
    return json.dumps([*json.loads(line)[:-1], "something else"])


def hashed_anew(lines: Lines) -> Lines:
    """A trace whose end fits its events, as other code would have written it."""
    trace = Trace()
    for line in lines[1:-1]:
        now, *facts = json.loads(line)
        trace.note(now, *facts)
    return [*lines[:-1], json.dumps({"events": trace.notes, "trace_hash": trace.digest()})]


def test_a_trace_says_what_it_is_of(lines: Lines, ten_minutes: Scenario) -> None:
    assert json.loads(lines[0]) == {
        "schema": "surgetank/drill-trace/v1",
        "scenario": "azure-2026-02",
        "scenario_digest": digest(ten_minutes),
        "variant": "nobody",
        "seed": 1,
        "surgetank": __version__,
    }


def test_a_trace_holds_every_event_in_order_of_time(lines: Lines) -> None:
    end = json.loads(lines[-1])
    events = [json.loads(line) for line in lines[1:-1]]
    assert len(events) == end["events"] > 100
    times = [event[0] for event in events]
    assert times == sorted(times)
    assert any(event[1] == "acted" for event in events)


def test_recording_changes_nothing(lines: Lines, ten_minutes: Scenario) -> None:
    alone = play(ten_minutes, "nobody", seed=1)
    assert json.loads(lines[-1])["trace_hash"] == alone.trace_hash


def test_the_same_code_plays_the_same(lines: Lines, reread: Read, ten_minutes: Scenario) -> None:
    recording = reread(lines)
    found = replay(recording, ten_minutes)
    assert (found.events, found.parting) == (len(lines) - 2, None)
    assert describe(recording, found) == f"equal, {len(lines) - 2} events: nobody, seed 1"
    assert document(recording, found)["equal"] is True


def test_one_other_event_is_found(lines: Lines, reread: Read, ten_minutes: Scenario) -> None:
    other = hashed_anew([*lines[:20], flipped(lines[20]), *lines[21:]])
    recording = reread(other)
    found = replay(recording, ten_minutes)
    compact = json.dumps(json.loads(other[20]), separators=(",", ":"))
    assert found.parting == Parting(20, lines[17:20], compact, lines[20])
    said = describe(recording, found).splitlines()
    assert said[0] == f"parted at event 20 of {len(lines) - 2}: nobody, seed 1"
    assert [line.split()[0] for line in said[1:4]] == ["17", "18", "19"]
    assert said[4].startswith("trace       20  2026-02-02 18:0")
    assert said[4].endswith("something else")
    assert said[5].startswith(" here       20  2026-02-02 18:0")
    assert said[6] == f"recorded by surgetank {__version__}, played by {__version__}"
    assert len(said) == 7


def test_a_trace_that_was_edited_says_so(lines: Lines, reread: Read, ten_minutes: Scenario) -> None:
    recording = reread([*lines[:20], flipped(lines[20]), *lines[21:]])
    found = replay(recording, ten_minutes)
    assert found.parting is not None
    assert "it was changed since it was written" in describe(recording, found).splitlines()[-1]
    assert document(recording, found)["intact"] is False


@pytest.mark.parametrize("number", [1, 2])
def test_the_first_events_have_little_before_them(
    lines: Lines, reread: Read, ten_minutes: Scenario, number: int
) -> None:
    other = [*lines[:number], flipped(lines[number]), *lines[number + 1 :]]
    found = replay(reread(other), ten_minutes)
    assert found.parting is not None
    assert (found.parting.number, found.parting.before) == (number, lines[1:number])


def test_a_play_that_goes_on_parts_at_the_end_of_the_trace(
    lines: Lines, reread: Read, ten_minutes: Scenario
) -> None:
    recording = reread(hashed_anew([*lines[:-2], lines[-1]]))
    found = replay(recording, ten_minutes)
    assert found.parting == Parting(len(lines) - 2, lines[-5:-2], None, lines[-2])
    assert "(the end)" in describe(recording, found)
    assert document(recording, found)["parting"]["recorded"] is None


def test_a_play_that_ends_early_parts_there(
    lines: Lines, reread: Read, ten_minutes: Scenario
) -> None:
    recording = reread(hashed_anew([*lines[:-1], lines[-2], lines[-1]]))
    found = replay(recording, ten_minutes)
    assert found.parting == Parting(len(lines) - 1, lines[-4:-1], lines[-2], None)


def test_other_chance_parts_at_once(lines: Lines, reread: Read, ten_minutes: Scenario) -> None:
    header = json.dumps({**json.loads(lines[0]), "seed": 2})
    found = replay(reread([header, *lines[1:]]), ten_minutes)
    assert found.parting is not None
    assert found.parting.number == 1


def test_spaces_are_no_difference(lines: Lines, reread: Read, ten_minutes: Scenario) -> None:
    spaced = [json.dumps(json.loads(line)) for line in lines]
    assert replay(reread(spaced), ten_minutes).parting is None


def test_another_scenario_is_refused(lines: Lines, reread: Read, ten_minutes: Scenario) -> None:
    other = ten_minutes.model_copy(update={"own_share": 0.02})
    with pytest.raises(InvalidInputError, match="give the scenario file as it was then"):
        replay(reread(lines), other)


def test_a_variant_that_is_no_more_is_refused(
    lines: Lines, reread: Read, ten_minutes: Scenario
) -> None:
    header = json.dumps({**json.loads(lines[0]), "variant": "anybody"})
    with pytest.raises(InvalidInputError, match="no variant 'anybody'"):
        replay(reread([header, *lines[1:]]), ten_minutes)


def test_an_end_that_is_another_runs_is_refused(
    lines: Lines, reread: Read, ten_minutes: Scenario
) -> None:
    end = json.dumps({**json.loads(lines[-1]), "trace_hash": "0" * 32})
    with pytest.raises(InvalidInputError, match="not that of its events"):
        replay(reread([*lines[:-1], end]), ten_minutes)


@pytest.mark.parametrize("kept_bytes", [1, 100, 1_000, 5_000, -1, -2, -30, -100])
def test_a_trace_that_was_cut_short_is_refused(
    recorded: Path, lines: Lines, tmp_path: Path, kept_bytes: int
) -> None:
    assert lines
    cut = tmp_path / "cut.jsonl"
    cut.write_bytes(recorded.read_bytes()[:kept_bytes])
    with pytest.raises(ConfigError, match=r"cut short|header, events and an end"):
        read(cut)


def test_what_follows_the_end_is_refused(lines: Lines, tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    path.write_text("".join(f"{line}\n" for line in lines) + lines[1])
    with pytest.raises(ConfigError, match="cut short"):
        read(path)


@pytest.mark.parametrize("kept", [1, 2, 50])
def test_a_trace_without_its_end_is_refused(lines: Lines, reread: Read, kept: int) -> None:
    with pytest.raises(ConfigError, match="it was cut short"):
        reread(lines[:kept])


@pytest.mark.parametrize(
    "line",
    [
        "", "{}", "[]", "3", "[1.5", '["noon", "token"]', "[true]", "[NaN]", "[1e30]", "[-1]",
        '[1, ["a"]]', '[1, {"a": 1}]', '[1, {"bytes": "xy"}]', "[" * 100_000, "\udcff",
    ],
)  # fmt: skip
def test_what_is_no_event_is_refused_by_line(
    lines: Lines, recorded: Path, tmp_path: Path, line: str
) -> None:
    path = tmp_path / recorded.name
    text = "".join(f"{one}\n" for one in [*lines[:5], line, *lines[6:]])
    path.write_text(text, errors="surrogateescape")
    with pytest.raises(ConfigError, match=r"run\.jsonl:6: .*an event"):
        read(path)


def test_an_event_too_few_is_refused(lines: Lines, reread: Read) -> None:
    with pytest.raises(ConfigError, match=rf"{len(lines) - 2} events, as its end says"):
        reread([*lines[:5], *lines[6:]])


@pytest.mark.parametrize(
    ("key", "value"), [("schema", "surgetank/drill-trace/v2"), ("seed", -1), ("sed", 1)]
)
def test_a_header_of_another_form_is_refused_by_key(
    lines: Lines, reread: Read, key: str, value: object
) -> None:
    header = json.dumps({**json.loads(lines[0]), key: value})
    with pytest.raises(ConfigError, match=rf":1: .*{key}: "):
        reread([header, *lines[1:]])


def test_a_trace_that_is_too_long_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    path.touch()
    os.truncate(path, TRACE_BYTES_MAX + 1)
    with pytest.raises(ConfigError, match=f"at most {TRACE_BYTES_MAX} bytes"):
        read(path)


def test_a_trace_that_grows_too_long_is_refused_and_not_written_on(ten_minutes: Scenario) -> None:
    quiet_logs()
    kept: Lines = []
    with pytest.raises(InvalidInputError, match="at most 1000"):
        record(ten_minutes, "nobody", seed=1, write=kept.append, bytes_max=1_000)
    assert sum(map(len, kept[1:])) <= 1_000


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nothing\.jsonl"):
        read(tmp_path / "nothing.jsonl")


@pytest.mark.parametrize("fact", ["é\n\ud800", -1, 0.1, 1e-300, None, True, b"\x00\xff"])
def test_every_kind_of_fact_is_read_as_it_was_noted(lines: Lines, reread: Read, fact: Fact) -> None:
    def note(now: float, facts: tuple[Fact, ...]) -> None:
        told.append((now, facts))

    told: list[tuple[float, tuple[Fact, ...]]] = []
    trace = Trace(note)
    trace.note(5.25, fact)
    written = {"bytes": fact.hex()} if isinstance(fact, bytes) else fact
    end = {"events": 1, "trace_hash": trace.digest()}
    assert reread([lines[0], json.dumps([5.25, written]), json.dumps(end)]).is_intact
    assert told == [(5.25, (fact,))]


def test_a_digest_tells_scenarios_apart_by_what_they_say(ten_minutes: Scenario) -> None:
    same = Scenario.model_validate(ten_minutes.model_dump(by_alias=True))
    assert digest(same) == digest(ten_minutes)
    assert digest(ten_minutes.model_copy(update={"title": "x"})) != digest(ten_minutes)

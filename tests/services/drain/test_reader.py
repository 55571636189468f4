"""A file that cannot be used is refused, with file, key, value and what would do."""

from pathlib import Path

import pytest

from surgetank.core.errors import ConfigError
from surgetank.rehearsal.drain.reader import (
    FILE_BYTES_MAX,
    OPTIMUM_S_MAX,
    WORLDS_MAX,
    parse,
    read,
    shipped,
)
from surgetank.rehearsal.drain.world import optimum_s

PLAIN = """
title = "plain"
capacity_per_s = 100
fresh_ratio = 0.3
backlog = 7_000
timeout_s = 2
latency_s = 0.04
queue_max = 300
"""


def test_a_directory_gives_its_worlds_by_name_in_order(tmp_path: Path) -> None:
    (tmp_path / "second.toml").write_text(PLAIN)
    (tmp_path / "first.toml").write_text(PLAIN.replace("7_000", "70"))
    (tmp_path / "readme.md").write_text("no world")
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "third.toml").write_text(PLAIN)
    found = read(tmp_path)
    assert {name: world.backlog for name, world in found.items()} == {"first": 70, "second": 7_000}
    assert list(found) == ["first", "second"]


def test_a_schedule_is_read_in_order() -> None:
    text = f"{PLAIN}[[schedule]]\nat_s = 5\ncapacity_ratio = 0.5\n[[schedule]]\nat_s = 9.5\n"
    found = parse(text.encode(), file="a.toml").schedule
    assert [(one.at_s, one.capacity_ratio) for one in found] == [(5, 0.5), (9.5, 1)]


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ("nods = 3", "a.toml: nods = 3: no such key; did you mean 'nodes'?"),
        ("qqqq = 3", "a.toml: qqqq = 3: no such key"),
        ('"a\\u001bb" = 3', "a.toml: 'a\\x1bb' = 3: no such key"),
        ("is_crashing = 1", "a.toml: is_crashing = 1: should be true or false. Whether nodes"),
        ('lag_s = "5"', "a.toml: lag_s = '5': should be a valid number. Seconds that a shared"),
        ("lag_s = nan", "a.toml: lag_s = nan: should be a finite number. Seconds"),
        ("workers = 0", "a.toml: workers = 0: should be greater than or equal to 1. Callers"),
        ("nodes = 1001", "a.toml: nodes = 1001: should be less than or equal to 1000. Nodes"),
        ("lag_s = 1\nis_shared = false", "a.toml: lag_s = 1: 0 where is_shared is false"),
        ("schedule = [5]", "a.toml: schedule[0] = 5: should be a table"),
        ("schedule = 5", "a.toml: schedule = 5: should be tables, each under [[schedule]]. What"),
        (
            "[[schedule]]\nat_s = 5\nlatncy_factor = 2",
            "a.toml: schedule[0].latncy_factor = 2: no such key; did you mean 'latency_factor'?",
        ),
        (
            "[[schedule]]\ncapacity_ratio = 2",
            "a.toml: schedule[0].at_s = '(nothing)': Field required. Seconds since the drain",
        ),
        ("[[schedule]]\nat_s = 5\n[[schedule]]\nat_s = 5", ": entries in order of at_s"),
        (f"nodes = 0x{'f' * 9_000}", "a.toml: nodes = '(a very large number)': should be less"),
        ("unseen_ratio = 0.7", "a.toml: backlog = 7000: less, or more capacity: it is drained never"),
        ("title = 3", "a.toml: (toml) = 'Cannot overwrite a value"),
        ("[" * 9_000, "a.toml: (toml) = "),
    ],
)  # fmt: skip
def test_a_world_that_cannot_be_used_is_refused(extra: str, said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse(f"{PLAIN}{extra}\n".encode(), file="a.toml")
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"plain"', '"a\\u001b[31m"', "title = 'a\\x1b[31m': one line, without control characters"),
        ('title = "plain"', "", "a.toml: title = '(nothing)': Field required. What the world is"),
        ("0.04", "2", "a.toml: latency_s = 2: below timeout_s, or no call ever ends well"),
        ("= 100\n", "= 10_001\n", "capacity_per_s = 10001: should be less than or equal to 10000"),
        ("0.3", "0", "a.toml: fresh_ratio = 0: should be greater than 0"),
    ],
)
def test_what_every_world_has_is_held_to_its_range(old: str, new: str, said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse(PLAIN.replace(old, new).encode(), file="a.toml")
    assert said in str(refused.value)


def test_other_errors_of_the_same_file_follow_as_notes() -> None:
    with pytest.raises(ConfigError) as refused:
        parse(f"{PLAIN}nodes = 0\nlag_s = -1\n".encode(), file="a.toml")
    assert [note.partition(":")[2].split(" = ")[0] for note in refused.value.__notes__] == [
        " lag_s"
    ]


def test_a_long_value_is_cut() -> None:
    with pytest.raises(ConfigError) as refused:
        parse(f"{PLAIN}nodes = {list(range(500))}\n".encode(), file="a.toml")
    assert len(str(refused.value)) < 250


def test_a_file_that_is_no_text_is_refused() -> None:
    with pytest.raises(ConfigError, match="valid TOML"):
        parse(b"\xff", file="a.toml")


def test_a_file_may_be_so_long_and_no_longer(tmp_path: Path) -> None:
    path = tmp_path / "long.toml"
    comment = "#" * (FILE_BYTES_MAX - len(PLAIN) - 1)
    path.write_text(f"{PLAIN}{comment}\n")
    assert list(read(tmp_path)) == ["long"]
    path.write_text(f"{PLAIN}{comment}#\n")
    with pytest.raises(ConfigError, match=rf"\(size\) = 32769: at most {FILE_BYTES_MAX} bytes"):
        read(tmp_path)


def test_a_drain_may_take_so_long_and_no_longer() -> None:
    most = round(70 * OPTIMUM_S_MAX)
    world = parse(PLAIN.replace("7_000", str(most)).encode(), file="a.toml")
    assert optimum_s(world) == pytest.approx(OPTIMUM_S_MAX)
    with pytest.raises(ConfigError, match="it is drained in 21614 s at best, and 21600 s may be"):
        parse(PLAIN.replace("7_000", str(most + 1_000)).encode(), file="a.toml")


def test_a_directory_may_hold_so_many_worlds_and_no_more(tmp_path: Path) -> None:
    for index in range(WORLDS_MAX):
        (tmp_path / f"world-{index}.toml").write_text(PLAIN)
    assert len(read(tmp_path)) == WORLDS_MAX
    (tmp_path / "one-more.toml").write_text(PLAIN)
    with pytest.raises(ConfigError, match=r"\(files\) = 1001: from 1 to 1000 files"):
        read(tmp_path)


def test_a_directory_without_a_world_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\(files\) = 0: from 1 to 1000 files"):
        read(tmp_path)


def test_a_directory_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\(directory\) = 'No such file or directory'"):
        read(tmp_path / "absent")


def test_a_world_that_is_no_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.toml").mkdir()
    with pytest.raises(ConfigError, match=r"folder\.toml: \(file\) = 'no file'"):
        read(tmp_path)


@pytest.mark.parametrize("name", ["Upper", "-first", "a b", "x" * 61, "\x1b[31m"])
def test_a_name_is_small_letters_digits_and_hyphens(tmp_path: Path, name: str) -> None:
    (tmp_path / f"{name}.toml").write_text(PLAIN)
    with pytest.raises(ConfigError, match="at most 60 small letters, digits and hyphens"):
        read(tmp_path)


def test_the_worlds_that_ship_can_be_read_from_a_directory_too() -> None:
    folder = Path(__file__).parents[3] / "src" / "surgetank" / "rehearsal" / "drain" / "worlds"
    assert read(folder) == shipped()

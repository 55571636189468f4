"""A scenario file is read whole or refused with the line, the key, the value and what would do."""

import math
import re
from importlib import resources
from pathlib import Path

import pytest

from surgetank.core.errors import ConfigError
from surgetank.rehearsal.scenario.reader import (
    FILE_BYTES_MAX,
    KEYS_SHOWN_MAX,
    NODES_MAX,
    library,
    load,
    parse,
)

GOOD = (resources.files("surgetank.rehearsal.library") / "azure-2026-02.yaml").read_text()

SAS = next(line for line in GOOD.splitlines() if line.startswith("  sas_ratio:"))


def refusal(text: str) -> ConfigError:
    """The error of a text that must not be read."""
    with pytest.raises(ConfigError) as caught:
        parse(text, file="drill.yaml")
    return caught.value


def changed(old: str, new: str) -> str:
    """The good text with one place changed."""
    assert GOOD.count(old) >= 1, f"{old!r} is not in the file any more"
    return GOOD.replace(old, new, 1)


@pytest.mark.parametrize("name", library())
def test_every_incident_of_the_library_can_be_read(name: str) -> None:
    assert load(name).name == name


@pytest.mark.parametrize("name", library())
def test_every_figure_says_where_it_comes_from(name: str) -> None:
    scenario = load(name)
    for figure in scenario.figures.values():
        assert (figure.source is None) is not (figure.assumed is None)
        assert figure.source is not None or figure.range is not None


@pytest.mark.parametrize("name", library())
def test_an_assumed_figure_may_lie_half_as_high_or_half_as_high_again(name: str) -> None:
    for key, figure in load(name).figures.items():
        if figure.assumed is not None and figure.range is not None and not key.endswith("_hour"):
            low, high = figure.range
            assert low <= 0.501 * figure.value, key
            bound = 1.0 if key.endswith("success_ratio") else math.inf
            assert high >= min(1.499 * figure.value, bound), key


@pytest.mark.parametrize(
    ("old", "new", "key", "wanted"),
    [
        ("boot_s: $boot_s", "boot_s: 40", "cloud.boot_s", "under figures"),
        ("boot_s: $boot_s", "boot_s: $bot_s", "cloud.boot_s", "did you mean $boot_s"),
        ("boot_s: $boot_s", "boot_s: $zzzz", "cloud.boot_s", "a figure named zzzz"),
        ("boot_s: $boot_s", "boots_s: $boot_s", "cloud.boot_s", "Field required"),
        ("own_share: $own_share", "own_share: 0.01", "own_share", "under figures"),
        ("value: 0.01\n    assumed: one large customer", "value: 0.01", "own_share", "source"),
        ("busy_hour: {value: 14", "busy_hour: {value: 23", "busy_hour", "outside its own range"),
        ("source: Eastern Standard Time", "assumed: so", "east_us_offset_h", "range"),
        ('scale: "1:1000"', "scale: big", "scale", "pattern"),
        ("name: azure-2026-02", "name: Azure!", "name", "pattern"),
        ("end: 2026-02-03T07:00:00Z", "end: 2026-02-01T07:00:00Z", "", "after start"),
        ("regions: [westus]", "regions: [mars]", "", "no such region: mars"),
        ("{variant: nobody,", "{variant: anybody,", "", "no such variant: anybody"),
        ("start@eastus", "start@mars", "", "no such region or pool: mars"),
        ("start@github-runners", "start@machines", "", "no such region or pool: machines"),
        ("metric: fresh_success_ratio", "metric: freshness", "", "no such metric: freshness"),
        ("region: eastus, over", "over", "", "`region`: one of eastus"),
        ("region: eastus, over", "of: eastus, over", "", "`region`: one of eastus"),
        ("metric: operations_lost", "metric: operations_lost, region: eastus", "", "needs no key"),
        ("only: [issuer-playbook]", "only: [issuer]", "", "no such variant: issuer"),
        ("  sas_ratio: {value: 0.02", "  sas_ratio: {value: 0.98", "sas_ratio", "outside its own"),
        (SAS, SAS.replace("0.02", "0.98").replace("0.1]", "1]"), "cloud.reads", "more than 1"),
        ("kind: machine\n", "kind: boat\n", "fleet.0", "tag"),
        ("  - name: scale-sets", "  - name: machines", "", "two of one name"),
        ("act: {kind: repair}", "act: {kind: pray}", "act", "tag"),
        ("    source: Microsoft's final review of FNJ8-VQZ\n", "", "timeline.0", "source"),
        (
            "    fault: {kind: remediation, pace_s: $policy_pace_s}",
            "    fault: {kind: remediation, pace_s: $policy_pace_s}\n    when: now",
            "timeline.0",
            "only operators",
        ),
        ("over: min, at_least: 14400", "over: min", "expect", "either"),
        ("share: 0}", "share: 2}", "share", "less than or equal"),
        ("when: identity@*.success", "when: identity@mars.success", "", "no such region: mars"),
        ("when: identity@*.success_ratio <", "when: identity@* <", "", "success_ratio < NUMBER"),
        ("    share: $own_share", "    share: 0.02", "", "is own_share"),
    ],
)
def test_a_mistake_is_named(old: str, new: str, key: str, wanted: str) -> None:
    error = refusal(changed(old, new))
    assert key in error.key
    assert wanted in str(error)
    assert error.code == "config"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "    release: adaptive\n",
            "    relese: adaptive\n",
            (
                "variants.you-1pct.relese = 'adaptive': unknown key; did you mean `release`? keys "
                "here are: title, seat, share, mirror_warm_ratio, broker, release, admission, "
                "burst_limit"
            ),
        ),
        ("kind: machine\n", "kind: machine\n    x: y\n", "unknown key; keys here are: name, title"),
        (
            "gate: {hold_s",
            "gate: {held_s: x, hold_s",
            "did you mean `hold_s`? keys here are: hold_s",
        ),
        ("also: [{at", "also: [{on: x, at", "unknown key; keys here are: at, source"),
        ("value: 0.01\n", "value: 0.01\n    ranges: 1\n", "did you mean `range`?"),
        ("    eastus: {title", "    eastus: {x: y, title", "keys here are: title, size, utc_"),
        (
            'scale: "1:1000"',
            'scale: "1:1000"\nsubtitle: x',
            "did you mean `title`? keys here are: schema",
        ),
    ],
)
def test_an_unknown_key_gets_those_that_could_stand_there(old: str, new: str, said: str) -> None:
    assert said in str(refusal(changed(old, new)))


def test_of_many_known_keys_some_are_listed() -> None:
    text = str(refusal(changed("  identity:\n", "  identity:\n    zzz: zzz\n")))
    known = text.partition("keys here are: ")[2].partition(" and ")
    assert known[0].count(",") + 1 == KEYS_SHOWN_MAX
    assert known[2] == "4 more"


def test_a_mistake_is_found_on_its_line() -> None:
    text = changed("boot_s: $boot_s", "boot_s: 40")
    line = next(n for n, row in enumerate(text.splitlines(), 1) if "boot_s: 40" in row)
    assert refusal(text).file == f"drill.yaml:{line}"


def test_a_figure_that_nobody_uses_is_refused() -> None:
    text = changed("figures:\n", "figures:\n  idle: {value: 1, source: nobody}\n")
    assert "(unused)" in str(refusal(text))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a: [", "valid YAML"),
        ("a: 1\na: 2\n", "valid YAML"),
        ("a: \0", "valid YAML"),
        ("- 1", "a mapping"),
        ("", "a mapping"),
        ("figures: 3", "a mapping of figures"),
        ("figures: {}\n", "Field required"),
    ],
)
def test_what_is_no_scenario_is_refused(text: str, wanted: str) -> None:
    assert wanted in str(refusal(text))


def test_aliases_that_multiply_are_refused_before_they_fill_memory() -> None:
    rows = ["figures: {}", "a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    assert str(NODES_MAX) in str(refusal("\n".join(rows)))


def test_nesting_without_end_is_refused() -> None:
    assert "deep" in str(refusal("figures: {}\na: " + "[" * 30 + "]" * 30))


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "large.yaml"
    file.write_text("#" * (FILE_BYTES_MAX + 1))
    with pytest.raises(ConfigError, match=str(FILE_BYTES_MAX)):
        load(str(file))


def test_a_file_of_that_size_is_read(tmp_path: Path) -> None:
    file = tmp_path / "full.yaml"
    file.write_text(GOOD + "#" * (FILE_BYTES_MAX - len(GOOD.encode())))
    assert load(str(file)).name == "azure-2026-02"


def test_a_name_that_is_no_file_lists_the_library(tmp_path: Path) -> None:
    for missing in (tmp_path / "none.yaml", tmp_path):
        with pytest.raises(ConfigError, match=re.escape("azure-2026-02")):
            load(str(missing))


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "bytes.yaml"
    file.write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(ConfigError, match="a readable file"):
        load(str(file))

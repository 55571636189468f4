import json
import subprocess
from collections.abc import Callable
from pathlib import Path

Run = Callable[..., subprocess.CompletedProcess[str]]

GOOD = """
directory = "state"

[operations]
lease_s = 45

[mirror]
stale_s = inf

[[mirror.rules]]
host = "packages.example"
dependency = "artifacts@eastus"
freshness_s = 60
"""


def test_a_good_file_is_done(run: Run, tmp_path: Path) -> None:
    (tmp_path / "surgetank.toml").write_text(GOOD)
    answer = run("config", "check")
    assert answer.stdout.startswith("surgetank.toml: good (")
    assert answer.returncode == 0


def test_a_good_file_as_json(run: Run, tmp_path: Path) -> None:
    (tmp_path / "surgetank.toml").write_text(GOOD)
    answer = json.loads(run("config", "check", "--json").stdout)
    assert answer["is_usable"]
    assert "mirror" in answer["sections"]


def test_the_environment_may_name_the_file(run: Run, tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text(GOOD)
    answer = run("config", "check", SURGETANK_CONFIG="other.toml")
    assert answer.stdout.startswith("other.toml: good")


def test_no_file_is_bad_input(run: Run) -> None:
    answer = run("config", "check")
    assert answer.stderr == "surgetank: surgetank.toml: cannot be read: No such file or directory\n"
    assert answer.returncode == 2


def test_all_that_is_wrong_is_said_at_once(run: Run, tmp_path: Path) -> None:
    (tmp_path / "surgetank.toml").write_text('directry = "x"\n[operations]\nlease_s = "5"\n')
    answer = run("config", "check")
    assert "operations.lease_s = '5': should be a valid number. Seconds" in answer.stderr
    assert "directry = 'x': no such key; did you mean 'directory'?" in answer.stderr
    assert (answer.returncode, answer.stdout) == (2, "")


def test_what_is_wrong_as_json(run: Run, tmp_path: Path) -> None:
    (tmp_path / "surgetank.toml").write_text('directry = "x"\n')
    error = json.loads(run("config", "check", "--json").stdout)["error"]
    assert (error["code"], error["key"], error["value"]) == ("config", "directry", "x")


def test_a_key_is_explained_with_unit_default_and_range(run: Run) -> None:
    answer = run("config", "explain", "operations.lease_s")
    lines = answer.stdout.splitlines()
    assert lines[0] == "operations.lease_s  (number, seconds)"
    assert "above 0" in lines[1]
    assert lines[2] == "  default: 60.0"


def test_a_key_that_must_be_given_says_so(run: Run) -> None:
    assert "\n  required\n" in run("config", "explain", "mirror.rules.host").stdout


def test_a_table_has_no_default_of_its_own(run: Run) -> None:
    assert "default" not in run("config", "explain", "mirror.pins").stdout


def test_a_section_lists_its_keys(run: Run) -> None:
    answer = run("config", "explain", "mirror")
    assert "mirror.rules.host" in answer.stdout
    assert "required" in answer.stdout


def test_without_a_key_every_key_is_listed(run: Run) -> None:
    answer = run("config", "explain", "--json")
    names = {key["name"] for key in json.loads(answer.stdout)["keys"]}
    assert {"directory", "operations.lease_s", "mirror.stale_s"} <= names


def test_a_key_is_explained_with_its_value_in_a_file(run: Run, tmp_path: Path) -> None:
    (tmp_path / "surgetank.toml").write_text(GOOD)
    answer = run("config", "explain", "operations.lease_s", "--file", "surgetank.toml")
    assert answer.stdout.endswith("\n  in this file: 45.0\n")


def test_a_section_is_listed_with_its_values_in_a_file(run: Run, tmp_path: Path) -> None:
    (tmp_path / "surgetank.toml").write_text(GOOD)
    answer = run("config", "explain", "mirror", "--file", "surgetank.toml", "--json")
    values = {key["name"]: key["value"] for key in json.loads(answer.stdout)["keys"]}
    assert values["mirror.rules.host"] == ["packages.example"]
    assert values["mirror.stale_s"] is None


def test_a_table_of_values_is_headed_so(run: Run, tmp_path: Path) -> None:
    (tmp_path / "surgetank.toml").write_text(GOOD)
    answer = run("config", "explain", "mirror", "--file", "surgetank.toml")
    assert answer.stdout.split()[:3] == ["key", "value", "meaning"]


def test_a_misspelt_key_gets_the_nearest(run: Run) -> None:
    answer = run("config", "explain", "operations.leese_s")
    assert "did you mean 'operations.lease_s'?" in answer.stderr
    assert answer.returncode == 2


def test_the_schema_refuses_unknown_keys(run: Run) -> None:
    schema = json.loads(run("config", "schema").stdout)
    assert schema["additionalProperties"] is False


def test_the_schema_is_json_either_way(run: Run) -> None:
    assert run("config", "schema", "--json").stdout == run("config", "schema").stdout

import re
from pathlib import Path


def test_every_target_says_what_it_does(root: Path) -> None:
    text = (root / "Makefile").read_text()
    targets = set(re.findall(r"^\.PHONY: (\S+)$", text, re.MULTILINE))
    described = set(re.findall(r"^(\S+):.* ## \S", text, re.MULTILINE))
    assert targets == described


def test_ci_calls_what_a_desk_calls(root: Path) -> None:
    lines = (root / ".ci" / "run").read_text().splitlines()
    assert lines[-2:] == ["make check", "make test"]

# ruff: noqa: INP001 - run from the root of the repository; part of no package
"""Make anew what the documentation shows of runs: numbers, tables, drawings, transcripts.

`python -m docs.figures` from the root of the repository plays for minutes, on every core. Names of
groups make those alone; `--check` writes nothing and exits with 1 where something would change.
"""

import argparse
import difflib
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from docs.figures import page, transcript
from docs.figures.study import GROUPS

from surgetank.rehearsal.processes import usual_jobs

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "figures"
PAGES = [
    *(
        ROOT / "docs" / "explanation" / name
        for name in ("drain-bench.md", "limits.md", "model.md", "seat-and-share.md")
    ),
    ROOT / "docs" / "reference" / "operation-states.md",
]
"""Where facts stand."""
TUTORIAL = "tutorial"
TUTORIALS = sorted((ROOT / "docs" / TUTORIAL).glob("*.md"))
"""Pages whose commands are run."""


def main(arguments: Iterable[str] | None = None) -> int:
    """Make what is asked for; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m docs.figures", description=__doc__)
    known = [*GROUPS, TUTORIAL]
    parser.add_argument("group", nargs="*", help=f"any of {', '.join(known)}; none: all")
    parser.add_argument("--check", action="store_true", help="write nothing; 1 if not current")
    parser.add_argument("--page", type=Path, help="the tutorial to play; none: every one")
    words = parser.parse_args(None if arguments is None else list(arguments))
    unknown = set(words.group) - set(known)
    if unknown:
        parser.error(f"no such group: {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    put = _check if words.check else _write
    tutorials = TUTORIALS if words.page is None else [words.page]
    return max([put(_made(name, tutorials)) for name in words.group or known])


def _made(name: str, tutorials: Iterable[Path]) -> dict[Path, str]:
    """Make one group: texts by the file that each belongs in."""
    if name == TUTORIAL:
        return {page: _played(page) for page in tutorials}
    found = GROUPS[name](usual_jobs())
    made = {FOLDER / file: drawn for file, drawn in found.drawings.items()}
    facts = {name: found.facts}
    return made | {file: page.fill(file.read_text(encoding="utf-8"), facts) for file in PAGES}


def _played(page: Path) -> str:
    with TemporaryDirectory(prefix="surgetank-page-") as folder:
        shown = page.read_text(encoding="utf-8")
        return transcript.play(shown, root=ROOT, folder=Path(folder))


def _check(made: Mapping[Path, str]) -> int:
    changes: list[str] = []
    for file, text in made.items():
        before = file.read_text(encoding="utf-8") if file.exists() else ""
        names = (str(file), f"{file}, made anew")
        changes += difflib.unified_diff(before.split("\n"), text.split("\n"), *names, lineterm="")
    sys.stdout.write("".join(f"{line}\n" for line in changes))
    return 1 if changes else 0


def _write(made: Mapping[Path, str]) -> int:
    for file, text in made.items():
        file.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

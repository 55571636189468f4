"""The reference page of results, made from their schema and from the table of metrics.

`python -m surgetank.rehearsal.drill.output.result_reference > docs/reference/result.md` writes it; a test
holds it current.
"""

import sys
from collections.abc import Mapping
from typing import Any

from surgetank.rehearsal.drill.output.direction import DIRECTIONS
from surgetank.rehearsal.drill.output.markdown import code, table
from surgetank.rehearsal.drill.output.result_schema import FILE, result_schema
from surgetank.rehearsal.drill.output.schema_table import lines, parts_of, section
from surgetank.rehearsal.scenario.metric import METRICS, Key

_HEAD = f"""# The result of a drill

`surgetank drill NAME --json PATH` writes it, and `surgetank drill --schema` prints its JSON Schema.
The schema also ships in the package, as `surgetank/rehearsal/drill/output/{FILE}`.
Keys that are not listed here are errors, but for those of a sweep; names of metrics are open.
Quantiles are nearest-rank over seeds: each is a value that was seen, and null sorts last.
Instants are UTC, to the second.

This page is made from the schema.
"""
_BETTER = {"less": "less", "more": "more", "neither": "not judged"}


def reference() -> str:
    """Make the page."""
    parts = parts_of("Result", result_schema())
    sections = [section(name, one, column="always", say=_always) for name, one in parts.items()]
    return "\n".join([_HEAD, *sections, _metrics()])


def _always(key: str, part: Mapping[str, Any]) -> str:
    return "yes" if key in part.get("required", ()) else "no"


def _metrics() -> str:
    rows = [
        [
            code(name),
            "" if METRICS[name] is Key.NONE else METRICS[name].value,
            _BETTER[one.better.value],
            one.meaning,
        ]
        for name, one in DIRECTIONS.items()
    ]
    head = (
        "## Metrics\n\n"
        "Seconds where the name ends in `_s`, ratios from 0 to 1 where it ends in `_ratio`, else counts.\n"
        "`surgetank drill --compare` judges by what is better, and shows what is not judged.\n"
    )
    return f"{head}\n{lines(table(('metric', 'mapping by', 'better', 'meaning'), rows))}"


if __name__ == "__main__":
    sys.stdout.write(reference())

"""Measure the sensitivity of a scenario anew, for the file that ships beside it.

`python -m surgetank.app.cli.sensitivity_file NAME > FILE` plays for minutes, on every core, what
`surgetank drill NAME --sensitivity` plays, and writes `NAME.sensitivity.json` to standard output.
"""

import json
import sys
from collections.abc import Sequence

from surgetank.app.cli.drill_study import SENSITIVITY_SEEDS, measure
from surgetank.rehearsal.drill.study.sensitivity import deciding
from surgetank.rehearsal.drill.study.sensitivity_file import document
from surgetank.rehearsal.processes import usual_jobs
from surgetank.rehearsal.scenario.reader import read

__all__ = ["main"]


def main(arguments: Sequence[str]) -> str:
    """Measure, and give the text of the file.

    Args:
        arguments: The scenario's name or file.
    """
    (name,) = arguments
    source = read(name)
    scenario = source.scenario()
    variants, seeds = deciding(scenario), list(range(1, SENSITIVITY_SEEDS + 1))
    found = measure(source, variants=variants, seeds=seeds, jobs=usual_jobs())
    return json.dumps(document(scenario, found.rows, variants=variants, seeds=seeds), indent=1)


if __name__ == "__main__":
    sys.stdout.write(main(sys.argv[1:]) + "\n")

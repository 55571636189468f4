"""The drill as JUnit's XML, for CI: one suite a drill, one case an expectation.

The form is what Jenkins, GitLab and Azure Pipelines read: attributes and their order as in the
xUnit plugin's schema `junit-10`, which is the strictest of them. GitLab keeps the first of two
cases of one name, so names are made to differ. Times are 0: a drill's result does not depend on
how long it took, and equal drills give equal files.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from surgetank import __version__
from surgetank.rehearsal.drill.comparison import judged, replay_command
from surgetank.rehearsal.drill.wording import observed, printable
from surgetank.rehearsal.scenario.schema import Expectation, Scenario

_TIME = "0"


def render(scenario: Scenario, result: Mapping[str, Any], *, source: str = "") -> str:
    """Make the document.

    Args:
        scenario: What was played.
        result: As `build_result` gives it.
        source: The name or file that the scenario was read from; empty for its own name.

    Returns:
        XML with its declaration, the same for the same drill; harmless whatever a scenario says.
    """
    found = judged(scenario, result)
    counts = {
        "tests": str(len(found)),
        "failures": str(sum(not one["met"] for _, one in found)),
        "errors": "0",
        "time": _TIME,
    }
    root = Element("testsuites", {"name": "surgetank drill", **counts})
    suite = SubElement(root, "testsuite", {"name": scenario.name, **counts, "skipped": "0"})
    _properties(suite, scenario, result)
    names: Counter[tuple[str, str]] = Counter()
    for expectation, one in found:
        group = printable(f"{scenario.name}.{expectation.variant}")
        name = printable(one["text"].removeprefix(f"{expectation.variant}: "))
        names[group, name] += 1
        times = names[group, name]
        unique = name if times == 1 else f"{name} ({times})"
        case = SubElement(suite, "testcase", {"classname": group, "name": unique, "time": _TIME})
        if not one["met"]:
            again = _replay(scenario, result, expectation, one, source=source)
            _failure(case, expectation, one, again)
    indent(root)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{tostring(root, encoding="unicode")}\n'


def _properties(suite: Element, scenario: Scenario, result: Mapping[str, Any]) -> None:
    facts = {
        "scenario": scenario.name,
        "title": scenario.title,
        "scale": result["scale"],
        "seeds": " ".join(map(str, result["seeds"])),
        "variants": ", ".join(result["variants"]),
        "verdict": result["verdict"],
        "surgetank": __version__,
    }
    properties = SubElement(suite, "properties")
    for name, value in facts.items():
        SubElement(properties, "property", {"name": name, "value": printable(value)})


def _failure(
    case: Element,
    expectation: Expectation,
    found: Mapping[str, Any],
    again: str,
) -> None:
    value = observed(expectation.metric, found["observed"])
    failure = SubElement(case, "failure", {"type": "not_met", "message": f"observed {value}"})
    lines = (f"expected: {found['text']}", f"observed: {value}", f"replay: {again}")
    failure.text = "\n".join(map(printable, lines))


def _replay(
    scenario: Scenario,
    result: Mapping[str, Any],
    expectation: Expectation,
    found: Mapping[str, Any],
    *,
    source: str,
) -> str:
    """What to type to see the run that is furthest from one expectation."""
    alone = scenario.model_copy(update={"expect": (expectation,)})
    return replay_command(alone, {**result, "expectations": [found]}, source=source)

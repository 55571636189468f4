"""JUnit's XML has the form that CI systems read, whatever a scenario says."""

from collections.abc import Callable
from typing import Any
from xml.etree.ElementTree import Element, fromstring

import pytest

from surgetank.rehearsal.drill.output.junit import render
from surgetank.rehearsal.drill.play import Run
from surgetank.rehearsal.drill.result import build_result
from surgetank.rehearsal.scenario.schema import Scenario

# Of the xUnit plugin's `junit-10.xsd`, what may stand where: (needed, other) attributes, children.
FORM = {
    "testsuites": (set[str](), {"name", "time", "tests", "failures", "errors"}, {"testsuite"}),
    "testsuite": (
        {"name", "tests", "failures", "errors"},
        {"time", "skipped", "timestamp", "hostname", "id", "package", "file"},
        {"testsuite", "properties", "testcase", "system-out", "system-err"},
    ),
    "properties": (set[str](), set[str](), {"property"}),
    "property": ({"name", "value"}, set[str](), set[str]()),
    "testcase": (
        {"name"},
        {"time", "classname", "group"},
        {"skipped", "error", "failure", "system-out", "system-err"},
    ),
    "failure": (set[str](), {"type", "message"}, set[str]()),
}
LOST = {"metric": "operations_lost", "at_most": 0}
SUBMITTED = {"metric": "operations_submitted", "at_most": 0}


def parsed(scenario: Scenario, runs: list[Run], **options: str) -> Element:
    return fromstring(render(scenario, build_result(scenario, runs), **options))  # noqa: S314 - our own


def cases(root: Element) -> list[Element]:
    return list(root.iter("testcase"))


def misshapen(element: Element) -> list[str]:
    needed, other, children = FORM[element.tag]
    here = [f"{element.tag} lacks {name}" for name in needed - set(element.attrib)]
    here += [f"{element.tag} has {name}" for name in set(element.attrib) - needed - other]
    here += [f"{element.tag} holds {one.tag}" for one in element if one.tag not in children]
    return here + [complaint for one in element if one.tag in FORM for complaint in misshapen(one)]


def test_it_has_the_form_that_jenkins_reads(
    expecting: Callable[..., Scenario], runs: list[Run]
) -> None:
    root = parsed(expecting(LOST, SUBMITTED), runs)
    assert root.tag == "testsuites"
    assert misshapen(root) == []


def test_one_suite_counts_its_cases_and_failures(
    expecting: Callable[..., Scenario], runs: list[Run]
) -> None:
    root = parsed(expecting(LOST, SUBMITTED), runs)
    (suite,) = root
    for one in (root, suite):
        assert [one.get(name) for name in ("tests", "failures", "errors")] == ["2", "1", "0"]
    assert suite.get("skipped") == "0"


def test_a_case_is_an_expectation_of_a_variant(
    expecting: Callable[..., Scenario], runs: list[Run]
) -> None:
    (case,) = cases(parsed(expecting(LOST), runs))
    assert case.attrib == {
        "classname": "azure-2026-02.nobody",
        "name": "operations_lost, max over seeds, at most 0",
        "time": "0",
    }
    assert list(case) == []


def test_a_failure_says_what_was_seen_and_how_to_see_it_again(
    expecting: Callable[..., Scenario], runs: list[Run]
) -> None:
    # Of two failures the second is worst in another seed than the first.
    measured = [
        one._replace(metrics={**one.metrics, "backlog_peak": -one.seed, "drain_s": one.seed})
        for one in runs
    ]
    root = parsed(
        expecting(
            {"metric": "backlog_peak", "at_most": -9},
            {"metric": "drain_s", "over": "median", "at_most": 0},
        ),
        measured,
        source="my own.yaml",
    )
    first, second = (case[0] for case in cases(root))
    assert first.text is not None
    assert first.text.endswith("'my own.yaml' --variant nobody --seed 1")
    assert second.attrib == {"type": "not_met", "message": "observed 1 (<0h01)"}
    assert second.text == (
        "expected: nobody: drain_s, median over seeds, at most 0\n"
        "observed: 1 (<0h01)\n"
        "replay: surgetank drill 'my own.yaml' --variant nobody --seed 2"
    )


def test_no_two_cases_have_one_name(expecting: Callable[..., Scenario], runs: list[Run]) -> None:
    names = [case.get("name") for case in cases(parsed(expecting(LOST, LOST, LOST), runs))]
    assert names == [
        f"operations_lost, max over seeds, at most 0{end}" for end in ("", " (2)", " (3)")
    ]


def test_properties_say_what_was_played(scenario: Scenario, runs: list[Run]) -> None:
    found = {one.get("name"): one.get("value") for one in parsed(scenario, runs).iter("property")}
    assert found["scenario"] == "azure-2026-02"
    assert found["scale"] == "1:1000"
    assert found["seeds"] == "1 2"
    assert found["variants"] == "nobody, you-1pct, everybody-all"


def test_words_of_a_file_stay_words(hostile_drill: tuple[Scenario, list[Run]]) -> None:
    root = parsed(*hostile_drill)
    assert misshapen(root) == []
    texts = [text for one in root.iter() for text in (*one.attrib.values(), one.text or "")]
    assert any("<b>]]>&\"'|" in text for text in texts)
    assert not any(sign in text for text in texts for sign in "\x00\x1b\ud800\u202e\r")


def test_a_drill_that_expects_nothing_has_no_case(
    expecting: Callable[..., Scenario], runs: list[Run]
) -> None:
    root = parsed(expecting(), runs)
    assert cases(root) == []
    assert root.get("tests") == "0"


@pytest.mark.parametrize("order", [1, -1])
def test_equal_drills_give_equal_files(scenario: Scenario, runs: list[Run], order: int) -> None:
    def written(some: list[Run]) -> str:
        return render(scenario, build_result(scenario, some))

    assert written(runs[::order]) == written(runs)


def test_a_result_is_all_it_needs(scenario: Scenario, result: dict[str, Any]) -> None:
    assert render(scenario, result).startswith('<?xml version="1.0" encoding="utf-8"?>\n')

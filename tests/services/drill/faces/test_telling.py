"""The page tells of the operations that say most, and of what governors held back."""

from collections.abc import Callable

import pytest

from surgetank.control.view import MEANINGS
from surgetank.rehearsal.drill.ledger import Fate, Wanted
from surgetank.rehearsal.drill.play import Run
from surgetank.rehearsal.drill.report import telling
from surgetank.rehearsal.drill.report.telling import PERIODS_MAX, story, tellings
from surgetank.rehearsal.drill.result import build_result
from surgetank.rehearsal.drill.series import GovernorSeries
from surgetank.rehearsal.scenario.schema import Scenario


@pytest.fixture
def first(make_wanted: Callable[..., Wanted]) -> Wanted:
    """One that failed early, in the first outage alone."""
    refused = (0, "install", "failed", "PublicAccessNotPermitted")
    return make_wanted("machines-north-1", Fate.FAILED, refused, (240, "", "failed"), asked_h=0.1)


@pytest.fixture
def done(make_wanted: Callable[..., Wanted]) -> Wanted:
    """The one that was caught, in a variant where it is done."""
    return make_wanted(
        "machines-north-7", Fate.SUCCEEDED, (1, "install", "ok"), (2, "", "succeeded")
    )


def told(scenario: Scenario, runs: list[Run]) -> list[tuple[str, str, str]]:
    result = build_result(scenario, runs)
    return [(one.why, one.variant, one.wanted.key) for one in tellings(scenario, runs, result)]


def governor(*modes: str) -> GovernorSeries:
    return GovernorSeries(
        first_row=0,
        mode=list(modes),
        rate_per_s=[1.0] * len(modes),
        waits_for=[f"the end of {mode}" for mode in modes],
        takes=["1 s"] * len(modes),
    )


def test_one_that_failed_early_one_caught_twice_and_the_same_one_saved(
    scenario: Scenario, make_run: Callable[..., Run], first: Wanted, caught: Wanted, done: Wanted
) -> None:
    runs = [
        make_run("nobody", wanted=[first, caught]),
        make_run("all", wanted=[done], creates=None, tokens=None),
    ]
    assert told(scenario, runs) == [
        ("the first that was given up", "nobody", "machines-north-1"),
        ("caught in both outages", "nobody", "machines-north-7"),
        ("the same one, done", "all", "machines-north-7"),
    ]


def test_one_that_was_done_elsewhere_says_most(
    scenario: Scenario,
    make_run: Callable[..., Run],
    make_wanted: Callable[..., Wanted],
    first: Wanted,
) -> None:
    second = make_wanted("machines-north-2", Fate.EXPIRED, (9, "", "expired"))
    saved = make_wanted("machines-north-2", Fate.SUCCEEDED, (9, "", "succeeded"))
    runs = [
        make_run("nobody", wanted=[first, second]),
        make_run("all", wanted=[saved], creates=None, tokens=None),
    ]
    assert told(scenario, runs)[1:] == [
        ("given up here, done elsewhere", "nobody", "machines-north-2"),
        ("the same one, done", "all", "machines-north-2"),
    ]


def test_where_none_was_given_up_the_first_is_told(
    scenario: Scenario, make_run: Callable[..., Run], done: Wanted
) -> None:
    assert told(scenario, [make_run(wanted=[done])]) == [
        ("the first of all", "nobody", "machines-north-7")
    ]


def test_one_variant_alone_tells_of_no_other(
    scenario: Scenario, make_run: Callable[..., Run], first: Wanted
) -> None:
    assert told(scenario, [make_run(wanted=[first])]) == [
        ("the first that was given up", "nobody", "machines-north-1")
    ]


def test_an_operation_is_told_step_by_step(caught: Wanted) -> None:
    assert story(caught) == (
        "install failed once (PublicAccessNotPermitted), then ok; "
        "enroll failed once (ManagedIdentityTokenError); waited 1h00 in all"
    )


def test_a_call_that_never_ended_was_under_way(make_wanted: Callable[..., Wanted]) -> None:
    assert story(make_wanted("one", Fate.OPEN, (0, "create", "called"))) == "create was under way"


def test_operations_can_be_found_by_a_script(
    scenario: Scenario, make_run: Callable[..., Run], first: Wanted
) -> None:
    runs = [make_run(wanted=[first])]
    table = telling.operations(scenario, runs, build_result(scenario, runs))
    assert table is not None
    assert 'data-variant="nobody" data-operation="machines-north-1"' in table
    assert "failed after 4h00" in table


def test_governors_are_told_by_what_they_held(
    scenario: Scenario, make_run: Callable[..., Run]
) -> None:
    held = governor("ramp", "open", "open", "half_open", "trickle", "ramp")
    runs = [make_run(), make_run("all", governors={"artifacts@north": held, "x": governor("ramp")})]
    table = telling.governors(scenario, runs, build_result(scenario, runs))
    assert table is not None
    assert "everybody: all; 1 other never held anything" in table
    assert "18:01-18:03 held, 18:03-18:04 half-open, 18:04-18:05 trickle" in table
    assert "<td>0h03</td>" in table
    assert "the end of open, then the end of half_open" in table


def test_every_mode_is_told_with_its_meaning_and_how_long_and_where_it_was(
    scenario: Scenario, make_run: Callable[..., Run]
) -> None:
    governors = {"a@north": governor("open", "drain", "drain"), "b@north": governor("drain")}
    runs = [make_run("all", governors=governors)]
    table = telling.governors(scenario, runs, build_result(scenario, runs))
    assert table is not None
    for mode, meaning in MEANINGS.items():
        assert f'<th scope="row">{telling.MODES[mode][0]}</th><td>{meaning}</td>' in table
    assert f"<td>{MEANINGS['drain']}</td><td>0h03</td><td>a@north, b@north</td>" in table
    assert f"<td>{MEANINGS['shed']}</td><td>-</td><td>-</td>" in table


def test_no_two_modes_have_one_name_on_the_page() -> None:
    assert len({word for word, _ in telling.MODES.values()}) == len(MEANINGS)


def test_periods_beyond_the_limit_are_counted(
    scenario: Scenario, make_run: Callable[..., Run]
) -> None:
    modes = ["open", "ramp"] * (PERIODS_MAX + 2)
    runs = [make_run("all", governors={"artifacts@north": governor(*modes)})]
    table = telling.governors(scenario, runs, build_result(scenario, runs))
    assert table is not None
    assert "and 2 periods more" in table


def test_a_mode_that_the_page_does_not_know_keeps_its_name(
    scenario: Scenario, make_run: Callable[..., Run]
) -> None:
    runs = [make_run("all", governors={"artifacts@north": governor("novel")})]
    assert "18:00-18:01 novel" in (
        telling.governors(scenario, runs, build_result(scenario, runs)) or ""
    )


def test_governors_that_held_nothing_are_not_told(
    scenario: Scenario, make_run: Callable[..., Run]
) -> None:
    runs = [make_run("all", governors={"artifacts@north": governor("ramp")})]
    assert telling.governors(scenario, runs, build_result(scenario, runs)) is None

import json

import pytest

from surgetank.core import errors
from surgetank.core.errors import DependencyError, QueueFullError, SurgetankError
from surgetank.core.problem import CODES_OF_HTTP, STATUS_OF_CODE, problem, problem_of

CODES = sorted(
    one.code
    for one in vars(errors).values()
    if isinstance(one, type) and issubclass(one, SurgetankError)
)


def test_every_code_has_a_status() -> None:
    assert sorted(STATUS_OF_CODE) == CODES


def test_no_code_means_two_things() -> None:
    assert not set(CODES_OF_HTTP) & set(CODES)


@pytest.mark.parametrize("code", [*STATUS_OF_CODE, *CODES_OF_HTTP])
def test_a_problem_says_its_status_twice(code: str) -> None:
    answer = problem(code, "why")
    document = json.loads(answer.body)
    assert (document["status"], document["code"]) == (answer.status, code)


def test_a_problem_is_of_its_media_type() -> None:
    assert problem("conflict", "why").headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(("retry_at", "said"), [(109.2, "10"), (99.0, "1"), (100.0, "1")])
def test_when_to_come_back_is_said_in_whole_seconds(retry_at: float, said: str) -> None:
    answer = problem_of(QueueFullError("full", retry_at=retry_at), now=100.0)
    assert answer.headers["retry-after"] == said


def test_without_an_instant_nothing_is_said_of_when() -> None:
    assert "retry-after" not in problem_of(QueueFullError("full"), now=100.0).headers


@pytest.mark.parametrize("may_have_acted", [False, True])
def test_whether_it_may_have_acted_is_said(*, may_have_acted: bool) -> None:
    answer = problem_of(DependencyError("disk", may_have_acted=may_have_acted), now=0.0)
    assert json.loads(answer.body)["may_have_acted"] is may_have_acted

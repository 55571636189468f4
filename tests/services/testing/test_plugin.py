import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

import surgetank.testing
from surgetank.core.http import Response

Pytest = Callable[..., subprocess.CompletedProcess[str]]

LUCKY = """
    import random

    async def test_is_lucky(stage):
        luck = random.random()
        assert luck < 0, f"drew {luck}"
"""


def test_the_example_of_the_documentation_passes(run_pytest: Pytest) -> None:
    text = dedent(surgetank.testing.__doc__ or "")
    (example,) = re.findall(r"test file::\n\n((?:    .*\n|\n)+)", text)
    answer = run_pytest(example)
    assert "1 passed" in answer.stdout, answer.stdout


def test_a_failure_says_its_seed_and_can_be_played_again(run_pytest: Pytest) -> None:
    first = run_pytest(LUCKY, "--surgetank-seed=random")
    found = re.search(r"seed (\d+); to play it again:\npytest (.*)", first.stdout)
    assert found is not None, first.stdout
    again = run_pytest(LUCKY, *shlex.split(found[2]))
    drawn = [re.findall(r"drew [0-9.e-]+", answer.stdout)[0] for answer in (first, again)]
    assert f"--surgetank-seed={found[1]}" in found[2]
    assert drawn[0] == drawn[1]
    assert again.returncode == 1


def test_a_random_seed_is_named_at_the_top_and_the_same_for_all_workers(
    run_pytest: Pytest, tmp_path: Path
) -> None:
    source = """
        import pathlib

        def test_one(surgetank_seed): pathlib.Path("one").write_text(str(surgetank_seed))
        def test_two(surgetank_seed): pathlib.Path("two").write_text(str(surgetank_seed))
    """
    answer = run_pytest(source, "-n", "2", "--surgetank-seed=random")
    seeds = {(tmp_path / name).read_text() for name in ("one", "two")}
    assert answer.returncode == 0, answer.stdout
    assert re.findall(r"surgetank: seed (\d+)", answer.stdout) == list(seeds)


def test_the_seed_may_stand_in_the_configuration(run_pytest: Pytest) -> None:
    source = "async def test_it(stage): assert stage.seed == 41"
    assert run_pytest(source, configuration="surgetank_seed = 41").returncode == 0


@pytest.mark.parametrize(
    ("words", "configuration", "place"),
    [
        (["--surgetank-seed=many"], "", "--surgetank-seed"),
        ([], "surgetank_seed = many", "surgetank_seed in the configuration"),
    ],
)
def test_a_seed_that_is_none_is_refused(
    run_pytest: Pytest, words: list[str], configuration: str, place: str
) -> None:
    answer = run_pytest("", *words, configuration=configuration)
    assert f"{place}: 'many' is no whole number, nor `random`" in answer.stderr
    assert answer.returncode == pytest.ExitCode.USAGE_ERROR


def test_a_test_may_be_run_with_many_seeds(run_pytest: Pytest) -> None:
    source = """
        import pytest

        @pytest.mark.parametrize("surgetank_seed", [7, 8])
        async def test_it(stage, surgetank_seed):
            assert stage.seed == surgetank_seed
            assert stage.seed == 7
    """
    answer = run_pytest(source)
    assert "1 failed, 1 passed" in answer.stdout
    assert "seed 8; to play it again:\npytest 'test_it.py::test_it[8]'" in answer.stdout


def test_a_deadlock_is_told_without_the_insides_of_a_loop(run_pytest: Pytest) -> None:
    source = """
        import asyncio

        async def test_waits(stage):
            await asyncio.Event().wait()
    """
    answer = run_pytest(source)
    assert "DeadlockError: nothing is ready and no timer is armed at 0.0 s" in answer.stdout
    assert "test_it.py:5 in test_waits, for a future that nobody has set" in answer.stdout
    assert "base_events.py" not in answer.stdout


def test_a_refusal_shows_the_line_that_was_refused(run_pytest: Pytest) -> None:
    source = """
        import time

        async def test_sleeps(stage):
            time.sleep(1)
    """
    answer = run_pytest(source)
    assert re.search(r"^> +time\.sleep\(1\)$", answer.stdout, re.MULTILINE)
    assert "wait with asyncio.sleep, not time.sleep" in answer.stdout


def test_a_refusal_that_was_swallowed_fails_in_few_words(run_pytest: Pytest) -> None:
    source = """
        import time

        async def test_swallows(stage):
            try:
                time.sleep(1)
            except Exception:
                pass
    """
    answer = run_pytest(source)
    assert "FenceError: the code under test reached for time.sleep." in answer.stdout
    assert "stage.py" not in answer.stdout
    assert answer.returncode == 1


def test_what_failed_in_a_callback_is_shown_where_it_did(run_pytest: Pytest) -> None:
    source = """
        def fail():
            raise LookupError("in a callback")

        async def test_calls_back(stage):
            stage.at(0.0, fail)
            await stage.clock.sleep_until(stage.clock.now() + 1.0)
    """
    assert re.search(r'^> +raise LookupError\("in a', run_pytest(source).stdout, re.MULTILINE)


def test_a_test_reaches_its_stage_through_fixtures_too(run_pytest: Pytest) -> None:
    source = """
        import asyncio, pytest

        @pytest.fixture
        def service(stage):
            return stage.scripted_service([200])

        class TestService:
            async def test_it(self, service):
                assert isinstance(self, TestService)
                await asyncio.sleep(3600.0)
                assert (await service.call()).status == 200
    """
    assert "1 passed" in run_pytest(source).stdout


def test_skips_and_expected_failures_are_what_they_are(run_pytest: Pytest) -> None:
    source = """
        import pytest

        async def test_skips(stage):
            pytest.skip("not today")

        @pytest.mark.xfail(strict=True)
        async def test_fails(stage):
            assert False
    """
    assert "1 skipped, 1 xfailed" in run_pytest(source).stdout


OTHERS = {
    "runs what is asynchronous first": """
        import asyncio, inspect, pytest

        @pytest.hookimpl(tryfirst=True)
        def pytest_pyfunc_call(pyfuncitem):
            if inspect.iscoroutinefunction(pyfuncitem.obj):
                asyncio.run(pyfuncitem.obj(**pyfuncitem.funcargs))
                return True
    """,
    "wraps what is asynchronous before": """
        import asyncio, functools, inspect, pytest

        @pytest.hookimpl(wrapper=True)
        def pytest_runtest_call(item):
            inner = item.obj
            if inspect.iscoroutinefunction(inner):
                @functools.wraps(inner)
                def outer(**arguments):
                    asyncio.run(inner(**arguments))
                item.obj = outer
            return (yield)
    """,
}


@pytest.mark.parametrize("conftest", OTHERS.values(), ids=OTHERS.keys())
def test_only_tests_with_a_stage_are_kept_from_other_plugins(
    run_pytest: Pytest, conftest: str
) -> None:
    source = """
        import asyncio
        from unittest import mock

        @mock.patch("os.getcwd", return_value="patched")
        async def test_ours(getcwd, stage):
            await asyncio.sleep(0.0)
            assert asyncio.get_running_loop().time() == 0.0 and getcwd() == "patched"

        async def test_theirs():
            assert asyncio.get_running_loop().time() > 0.0
    """
    answer = run_pytest(source, conftest=conftest)
    assert "2 passed" in answer.stdout, answer.stdout


def test_what_hypothesis_runs_is_left_to_it(run_pytest: Pytest) -> None:
    source = """
        from hypothesis import given, strategies
        from surgetank.testing import play

        @given(strategies.integers(0, 9))
        def test_plays(seed):
            async def main(stage):
                return stage.seed

            assert play(main, seed=seed) == seed

        @given(number=strategies.integers(0, 9))
        async def test_is_asynchronous(stage, number):
            pass
    """
    answer = run_pytest(source, without=())
    assert "uses a function-scoped fixture 'stage'" in " ".join(answer.stdout.split())
    assert "1 failed, 1 passed" in answer.stdout


def test_it_can_be_left_out(run_pytest: Pytest) -> None:
    answer = run_pytest("def test_it(stage): pass", "-p", "no:surgetank")
    assert "fixture 'stage' not found" in answer.stdout


# What it costs who does not use it


def modules_after(statement: str) -> set[str]:
    """Modules that an interpreter has loaded after a statement."""
    words = [sys.executable, "-c", f"{statement}\nimport sys\nprint(*sys.modules)"]
    return set(subprocess.check_output(words, text=True).split())  # noqa: S603 - this interpreter


def test_a_session_that_does_not_use_it_loads_three_modules_of_ours() -> None:
    loaded = modules_after("import surgetank.testing.plugin") - modules_after("import pytest")
    ours = {name for name in loaded if name.startswith("surgetank")}
    assert ours == {"surgetank", "surgetank.testing", "surgetank.testing.plugin"}
    assert len(loaded - ours) < 10


def test_playing_needs_no_pytest() -> None:
    assert "pytest" not in modules_after("from surgetank.testing import Stage, play")


# What it promises


@pytest.mark.parametrize("name", surgetank.testing.__all__)
def test_every_promised_name_is_documented(name: str) -> None:
    page = Path(__file__).parents[3] / "docs" / "reference" / "testing.md"
    assert f"surgetank.testing.{name}\n" in page.read_text()
    assert getattr(surgetank.testing, name) is not None


def test_a_name_is_the_thing_itself() -> None:
    assert surgetank.testing.Response is Response


def test_other_names_are_not_there() -> None:
    with pytest.raises(AttributeError, match=r"surgetank\.testing has no Unicorn"):
        _ = surgetank.testing.Unicorn  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue] - that is the point

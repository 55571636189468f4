"""The pytest side: fixtures, the option for the seed, and how an `async def` test is run.

It is loaded with every pytest of everyone who has Surgetank installed, so it imports nothing of
Surgetank until a test asks for a fixture. It needs pytest; the rest of `surgetank.testing` does
not.
"""

import inspect
import secrets
import shlex
from collections.abc import Callable, Coroutine, Generator
from traceback import walk_tb
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from surgetank.testing.stage import Stage

Test = Callable[..., Coroutine[Any, Any, None]]

_SEED = pytest.StashKey[int]()
_STAGE = pytest.StashKey["Stage"]()
_WORD = "surgetank_seed"
_RANDOM = "random"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the seed, as an option and as a line of the configuration."""
    what = "seed of tests on a virtual clock: a whole number, or `random` for another each time"
    group = parser.getgroup("surgetank", "surgetank: rehearsing outages")
    group.addoption("--surgetank-seed", metavar="N", help=f"{what} (default: 0)")
    parser.addini(_WORD, what, default="0")


def pytest_configure(config: pytest.Config) -> None:
    """Settle on a seed; a worker of pytest-xdist takes over that of its session."""
    session: dict[str, int] = getattr(config, "workerinput", {})
    if _WORD in session:
        config.stash[_SEED] = session[_WORD]
        return
    given: object = config.getoption(_WORD)
    word = str(config.getini(_WORD) if given is None else given)
    try:
        seed = secrets.randbits(32) if word == _RANDOM else int(word)
    except ValueError as error:
        place = "surgetank_seed in the configuration" if given is None else "--surgetank-seed"
        raise pytest.UsageError(f"{place}: {word!r} is no whole number, nor `random`") from error
    config.stash[_SEED] = seed


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Hand the seed to a worker of pytest-xdist."""
    node.workerinput[_WORD] = node.config.stash[_SEED]


def pytest_report_header(config: pytest.Config) -> str | None:
    """Name the seed if it is not the usual one."""
    seed = config.stash[_SEED]
    return f"surgetank: seed {seed}" if seed else None


@pytest.fixture
def surgetank_seed(request: pytest.FixtureRequest) -> int:
    """The seed of this session; parametrize it to run a test with many."""
    seed = request.config.stash[_SEED]
    request.node.stash[_SEED] = seed
    return seed


@pytest.fixture
def stage(request: pytest.FixtureRequest, surgetank_seed: int) -> "Generator[Stage]":
    """A stage of `surgetank.testing`; an `async def` test that uses it is played on it."""
    from surgetank.testing.stage import Stage  # noqa: PLC0415 - see above

    one = Stage(seed=surgetank_seed)
    request.node.stash[_SEED] = surgetank_seed
    request.node.stash[_STAGE] = one
    yield one
    one.close()
    del request.node.stash[_STAGE]  # items live as long as the session


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Play an `async def` test on its stage, if it has one.

    It is made a plain function for the call: no other plugin then takes it to a loop of its own.
    """
    original = pyfuncitem.obj
    stage = pyfuncitem.stash.get(_STAGE, None)
    test = inspect.unwrap(original, stop=inspect.iscoroutinefunction)  # some wrap it before
    is_given = getattr(original, "is_hypothesis_test", False)  # wants a stage for each example
    if stage is None or is_given or not inspect.iscoroutinefunction(test):
        return (yield)

    def played(**arguments: object) -> None:
        _play(stage, test, arguments)

    pyfuncitem.obj = played
    try:
        return (yield)
    finally:
        pyfuncitem.obj = original


def _play(stage: "Stage", test: Test, arguments: dict[str, object]) -> None:
    """Play a test; when no line of it can be shown, the stage's own complaint is enough."""
    from surgetank.core.errors import SimulationError  # noqa: PLC0415 - see above

    try:
        stage.play(lambda: test(**arguments))
    except SimulationError as error:
        code: object = getattr(inspect.unwrap(test), "__code__", None)
        if error.__cause__ or any(one.f_code is code for one, _ in walk_tb(error.__traceback__)):
            raise
        notes: list[str] = getattr(error, "__notes__", [])
        complaint = "\n".join([f"{type(error).__name__}: {error}", *notes])
    else:
        return
    pytest.fail(complaint, pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Say with a failure what its seed was, and how to play it again."""
    del call
    report = yield
    seed = item.stash.get(_SEED, None)
    if report.failed and seed is not None:
        again = f"pytest {shlex.quote(item.nodeid)} --surgetank-seed={seed}"
        report.sections.append(("surgetank", f"seed {seed}; to play it again:\n{again}"))
    return report

import ast
import inspect
from dataclasses import fields

import pytest

from surgetank.control.governor import GovernorPolicy
from surgetank.runtime import config
from surgetank.runtime.config import Governor, Key

KEYS = config.keys()
PLAIN = ["burst_s", "hold_s_max", "lost_s", "shed_s", "fresh_first_s"]


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.name)
def test_every_key_is_described(key: Key) -> None:
    assert key.description.strip()


def test_keys_are_named_once() -> None:
    assert len({key.name for key in KEYS}) == len(KEYS)


@pytest.mark.parametrize("name", [field.name for field in fields(GovernorPolicy)])
def test_the_governor_of_the_file_has_the_defaults_of_the_law(name: str) -> None:
    assert getattr(Governor(), name) == getattr(GovernorPolicy(), name)


@pytest.mark.parametrize("name", PLAIN)
def test_the_governor_of_the_file_is_described_as_the_law_is(name: str) -> None:
    assert _described(Governor)[name] == _described(GovernorPolicy)[name]


def _described(cls: type) -> dict[str, str]:
    """What stands below each field of a class."""
    (definition,) = ast.parse(inspect.getsource(cls)).body
    assert isinstance(definition, ast.ClassDef)
    return {
        ast.unparse(field.target): " ".join(ast.literal_eval(text.value).split())
        for field, text in zip(definition.body, definition.body[1:], strict=False)
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr)
    }

"""What never changes of an operation comes back as it was given."""

from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from surgetank.core.errors import ConflictError
from surgetank.core.operation import OperationId, Step
from surgetank.core.value import Dependency
from surgetank.safeguards.operations.record import Record, identify
from surgetank.safeguards.operations.store import Store

WithStore = Callable[[Callable[[Store], Coroutine[Any, Any, None]]], None]
New = Callable[..., Record]

ORDERED = "019c1f85-ac20-7000-8000-00000000abcd"
VM = Dependency("vm@eastus")


def of_key(record: New, key: str) -> Record:
    """Make a record of any key."""
    return record("k")._replace(key=key, id=identify(key))


@pytest.mark.parametrize("key", [ORDERED, ORDERED.upper(), ORDERED.replace("-", ""), "k" * 200])
def test_every_key_is_read_back(with_store: WithStore, record: New, key: str) -> None:
    async def body(store: Store) -> None:
        new = of_key(record, key)
        await store.submit(new)
        assert await store.read(new.id) == new._replace(number=1)

    with_store(body)


def test_a_key_that_is_the_name_of_another_is_another(with_store: WithStore, record: New) -> None:
    async def body(store: Store) -> None:
        assert await store.submit(of_key(record, ORDERED))
        assert await store.submit(of_key(record, ORDERED.replace("-", "")))

    with_store(body)


@pytest.mark.parametrize(
    "name", ["", "k", "é", ORDERED, identify(ORDERED).upper(), f" {identify(ORDERED)}", "0" * 31]
)
def test_what_is_no_name_is_not_found(with_store: WithStore, record: New, name: str) -> None:
    async def body(store: Store) -> None:
        await store.submit(of_key(record, ORDERED))
        assert await store.read(OperationId(name)) is None

    with_store(body)


@pytest.mark.parametrize(
    "step",
    [
        Step("s", VM, "do", "{}"),
        Step("s", VM, "do", "{}", is_optional=True),
        Step("s", VM, "do", "{}", is_repeatable=True),
        Step("s", VM, "do", "{}", fallback=""),
        Step("s", VM, "do", "{}", fallback="{}", fallback_dependency=Dependency("vm@westus")),
        Step("s", VM, "do", "", is_security=True, probe="{}"),
    ],
)
def test_every_step_is_read_back_and_known_again(
    with_store: WithStore, record: New, step: Step
) -> None:
    async def body(store: Store) -> None:
        new = record("k")._replace(steps=(step,), progress=record("k").progress[:1])
        await store.submit(new)
        stored = await store.read(new.id)
        assert stored is not None
        assert stored.steps == (step,)
        assert [type(each) for each in stored.steps[0]] == [type(each) for each in step]
        assert not await store.submit(new)
        with pytest.raises(ConflictError):
            await store.submit(new._replace(steps=(step._replace(arguments="[]"),)))

    with_store(body)

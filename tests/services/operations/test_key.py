from random import Random
from uuid import UUID

import pytest

from surgetank.safeguards.operations.key import time_ordered_key
from surgetank.safeguards.operations.record import identify

NOW = 1_770_055_380.123


class _Highest:
    """The largest number that chance may give."""

    def random(self) -> float:
        return 1.0 - 2.0**-53


def test_a_key_is_a_uuid_of_version_7() -> None:
    key = UUID(time_ordered_key(now=NOW, chance=Random(1)))
    assert (key.version, key.variant) == (7, "specified in RFC 4122")


def test_a_key_says_when_it_was_made() -> None:
    assert UUID(time_ordered_key(now=NOW, chance=Random(1))).int >> 80 == 1_770_055_380_123


def test_a_later_key_sorts_after() -> None:
    first = time_ordered_key(now=NOW, chance=_Highest())
    assert first < time_ordered_key(now=NOW + 0.002, chance=Random(1))


def test_keys_of_one_instant_differ() -> None:
    chance = Random(1)
    keys = {time_ordered_key(now=NOW, chance=chance) for _ in range(1_000)}
    assert len(keys) == 1_000


@pytest.mark.parametrize("chance", [Random(1), _Highest()])
def test_a_key_names_its_operation(chance: Random) -> None:
    key = time_ordered_key(now=NOW, chance=chance)
    assert identify(key) == key.replace("-", "")

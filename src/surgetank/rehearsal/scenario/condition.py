"""What operators wait to see before they act, as a scenario writes it."""

import re
from typing import NamedTuple

from surgetank.core.errors import InvalidInputError

_FORM = "`identity@REGION.success_ratio < NUMBER for MINUTESm`"
_CONDITION = re.compile(
    r"identity@(?P<region>[a-z0-9]+|\*)\.success_ratio < (?P<bound>0\.\d+|1) for (?P<minutes>\d+)m"
)


class Condition(NamedTuple):
    """Success below a bound, over a span."""

    region: str
    """Where to look; `*` for each region by itself."""
    bound: float
    """A ratio."""
    span_s: float


def parse_condition(text: str) -> Condition:
    """Read `identity@REGION.success_ratio < NUMBER for MINUTESm`.

    Raises:
        InvalidInputError: It is not of that form.
    """
    match = _CONDITION.fullmatch(text)
    if match is None:
        raise InvalidInputError(f"write {_FORM}, not {text!r}")
    return Condition(match["region"], float(match["bound"]), 60.0 * int(match["minutes"]))

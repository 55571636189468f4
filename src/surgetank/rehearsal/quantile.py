"""Quantiles over seeds: nearest rank, so that each is a value that was seen."""

from collections.abc import Iterable
from math import ceil


def quantile(values: Iterable[float | None], share: float) -> float | None:
    """The nearest-rank quantile; None counts as larger than any number, and may be the answer."""
    ranked = sorted(values, key=lambda value: (value is None, value or 0.0))
    return ranked[max(1, ceil(share * len(ranked))) - 1] if ranked else None

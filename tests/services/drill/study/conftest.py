"""A few minutes of the outage, in which the figures that a test names are assumed, and no others."""

from collections.abc import Callable, Mapping, Sequence
from io import StringIO
from typing import Any, cast

import pytest
from ruamel.yaml import YAML

from surgetank.rehearsal.scenario.reader import Source, read


@pytest.fixture
def make_source() -> Callable[..., Source]:
    """Write a short scenario: `assumed` gives (value, low, high) by figure, `expect` the rest."""

    def make(
        assumed: Mapping[str, tuple[float, float, float]] | None = None,
        expect: Sequence[Mapping[str, Any]] = (),
        *,
        end: str = "2026-02-02T18:05:00Z",
    ) -> Source:
        yaml: Any = YAML()
        data: Any = yaml.load(read("azure-2026-02").text)
        for figure in cast("dict[str, Any]", data["figures"]).values():
            figure.pop("assumed", None)
            figure["source"] = "as good as known"
        for name, (value, low, high) in (assumed or {}).items():
            moved = {"value": value, "assumed": "for a test", "range": [low, high]}
            data["figures"][name] = moved
        data["end"] = end
        data["expect"] = [dict(one) for one in expect]
        out = StringIO()
        yaml.dump(data, out)
        return Source("short.yaml", out.getvalue())

    return make

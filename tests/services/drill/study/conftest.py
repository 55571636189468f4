"""Some minutes of the outage, in which the figures that a test names are assumed, and no others."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from surgetank.rehearsal.scenario.reader import Source, read


@pytest.fixture(scope="session")
def make_source() -> Callable[..., Source]:
    """Write a short scenario.

    `assumed` gives value, low and high by figure; all other figures are as good as known. `expect`
    stands in for what the library's expects. In five minutes a run takes a tenth of a second.
    """

    def make(
        assumed: Mapping[str, tuple[float, float, float]] | None = None,
        expect: Sequence[Mapping[str, Any]] = (),
        *,
        end: str = "2026-02-02T18:05:00Z",
    ) -> Source:
        data: Any = read("azure-2026-02").data
        for figure in data["figures"].values():
            figure.pop("assumed", None)
            figure.pop("range", None)
            figure["source"] = "as good as known"
        for name, (value, low, high) in (assumed or {}).items():
            moved = {"value": value, "assumed": "for a test", "range": [low, high]}
            data["figures"][name] = moved
        data["end"] = end
        data["expect"] = [dict(one) for one in expect]
        return Source("short.yaml", data)

    return make


@pytest.fixture(scope="session")
def make_result() -> Callable[..., dict[str, Any]]:
    """Write what a sweep found: hours without tokens by value, by variant swept."""

    def make(
        name: str, tokens_h: Mapping[str, Mapping[float, float]], **changes: object
    ) -> dict[str, Any]:
        metrics = {
            "provisioning_outage_s": 3600.0,
            "fresh_success_ratio": 0.5,
            "covered_fresh_success_ratio": 0.9,
            "others_fresh_success_ratio": 0.2,
            "operations_submitted": 10,
            "operations_succeeded": 6,
            **changes,
        }
        points: list[dict[str, Any]] = []
        variants: dict[str, Any] = {}
        for of, hours in tokens_h.items():
            for value, hour in hours.items():
                variant = f"{of}@{name}={value:g}"
                outage_s = {"eastus": 3600.0 * hour, "westus": 0.0}
                seed = {"metrics": {**metrics, "identity_outage_s": outage_s}}
                points.append({"value": value, "variant": variant, "of": of})
                variants[variant] = {"seeds": {"1": seed}}
        swept = {"name": name, "variants": list(tokens_h), "points": points}
        return {"seeds": [1], "scale": "1:1000", "variants": variants, "sweep": swept}

    return make

"""What the page's script shows, packed: the series and every operation of one run a variant.

Columns stand for rows, differences for instants and numbers for words that come again; then gzip
and base64, which the browser undoes for a variant when somebody looks at it. `static/data.js` is
the other half: keys here and there are the same.
"""

import base64
import gzip
import json
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import fields
from itertools import pairwise
from typing import Any, TypeVar

from surgetank.rehearsal.drill.comparison import median_run
from surgetank.rehearsal.drill.ledger import Moment, Wanted
from surgetank.rehearsal.drill.outage import Outage
from surgetank.rehearsal.drill.play import Run
from surgetank.rehearsal.drill.report.choice import beside_variant, shown_variant
from surgetank.rehearsal.drill.report.markup import Markup, joined, tag
from surgetank.rehearsal.drill.report.style import region_tone
from surgetank.rehearsal.drill.report.telling import MODES, UNTRIED
from surgetank.rehearsal.drill.series import EVERY_S, GovernorSeries, RegionSeries, Series
from surgetank.rehearsal.drill.wording import printable
from surgetank.rehearsal.scenario.schema import Scenario

TENTH = 10
"""Instants are kept to a tenth of a second: what is shorter is a moment to whoever reads."""
DIGITS = 4
"""Significant digits that are kept of what was measured."""
REASON_CHARACTERS_MAX = 300
SERVICES = {"create": "compute", "install": "artifacts", "enroll": "identity"}
"""Which service decides on a step; a test holds it against `request.steps_of`."""
_NEVER = -1

T = TypeVar("T", bound=Hashable)


def data(scenario: Scenario, runs: Sequence[Run], result: Mapping[str, Any]) -> Markup:
    """Make the elements that hold it: one overview, and one for each variant."""
    overview = _element("overview", _overview(scenario, runs, result))
    return joined(
        [
            overview,
            *(
                _element(f"variant-{index}", packed(median_run(runs, name)))
                for index, name in enumerate(result["variants"])
            ),
        ]
    )


def _element(name: str, content: Any) -> Markup:
    # `<` could end the element; nothing else is more than text to a browser in here.
    text = json.dumps(content, separators=(",", ":")).replace("<", "\\u003c")
    return tag("script", Markup(text), id=name, type="application/json")


def _overview(scenario: Scenario, runs: Sequence[Run], result: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "start": scenario.start.timestamp(),
        "end": scenario.end.timestamp(),
        "every": EVERY_S,
        "tenth": TENTH,
        "regions": [
            {"name": name, "title": region.title, "tone": region_tone(index)}
            for index, (name, region) in enumerate(scenario.cloud.regions.items())
        ],
        "fleets": {fleet.name: fleet.title or fleet.name for fleet in scenario.fleet},
        "variants": [
            {
                "name": name,
                "title": one["title"],
                "seed": median_run(runs, name).seed,
            }
            for name, one in result["variants"].items()
        ],
        "shown": shown_variant(result),
        "beside": beside_variant(scenario, result),
        "services": SERVICES,
        "modes": MODES,
        "untried": UNTRIED,
    }


def packed(run: Run) -> str:
    """Pack what happened in one run."""
    content = {
        "series": _series(run.series),
        "governors": {name: _governor(one) for name, one in sorted(run.series.governors.items())},
        "acted": run.acted,
        "creates": _outages(run.outages.provisioning),
        "tokens": {name: _outages(found) for name, found in run.outages.identity.items()},
        "operations": _operations(run.wanted),
    }
    text = json.dumps(content, separators=(",", ":"))
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()


def _series(series: Series) -> dict[str, Any]:
    names = [field.name for field in fields(RegionSeries)]
    columns = {
        region: {name: [_rounded(value) for value in getattr(one, name)] for name in names}
        for region, one in series.regions.items()
    }
    return {"at": series.at, "regions": columns}


def _governor(one: GovernorSeries) -> dict[str, Any]:
    """Modes and reasons change seldom: only the rows where one does are kept."""
    changes = one.changes()
    return {
        "first": one.first_row,
        "rows": len(one.mode),
        "changes": changes,
        "modes": [one.mode[row] for row in changes],
        "waits": [printable(one.waits_for[row]) for row in changes],
        "takes": [printable(one.takes[row]) for row in changes],
        "rates": [_rounded(rate) for rate in one.rate_per_s],
    }


def _outages(found: Sequence[Outage]) -> list[tuple[float, float, bool]]:
    return [(one.start_at, one.end_at, one.is_over) for one in found]


def _operations(wanted: Sequence[Wanted]) -> dict[str, Any]:
    fleets, fleet = _indexed([one.fleet for one in wanted])
    regions, region = _indexed([one.region for one in wanted])
    ways, way = _indexed([one.way for one in wanted])
    fates, fate = _indexed([one.fate.value for one in wanted])
    moments = [moment for one in wanted for moment in _moments(one)]
    kinds, kind = _indexed([(one.step, one.what, one.why) for one in moments])
    return {
        "key": [one.key for one in wanted],
        "fleets": fleets,
        "fleet": fleet,
        "regions": regions,
        "region": region,
        "ways": ways,
        "way": way,
        "own": [int(one.is_own) for one in wanted],
        "covered": [int(one.is_covered) for one in wanted],
        "fates": fates,
        "fate": fate,
        "submitted": _differences([_tenths(one.submitted_at) for one in wanted]),
        "deadline": [_tenths(one.deadline_at) - _tenths(one.submitted_at) for one in wanted],
        "ended": [
            _NEVER if one.ended_at is None else _tenths(one.ended_at) - _tenths(one.submitted_at)
            for one in wanted
        ],
        "moments": [len(one.moments) for one in wanted],
        "kinds": [(*kind, printable(why[:REASON_CHARACTERS_MAX])) for *kind, why in kinds],
        "kind": kind,
        "after": [gap for one in wanted for gap in _gaps(one)],
        "until": [
            _NEVER if moment.until is None else max(0, _tenths(moment.until) - _tenths(moment.at))
            for moment in moments
        ],
    }


def _moments(one: Wanted) -> list[Moment]:
    """Give them in order of time: the end of a durable operation is entered after the drill."""
    return sorted(one.moments, key=lambda moment: moment.at)


def _gaps(one: Wanted) -> list[int]:
    """Tenths from each moment to the next, the first from when it was asked for."""
    times = [_tenths(at) for at in (one.submitted_at, *(moment.at for moment in _moments(one)))]
    return [later - earlier for earlier, later in pairwise(times)]


def _indexed(values: Sequence[T]) -> tuple[list[T], list[int]]:
    """Give the distinct values, and for each value which of them it is."""
    places: dict[T, int] = {}
    numbers = [places.setdefault(value, len(places)) for value in values]
    return list(places), numbers


def _differences(numbers: Sequence[int]) -> list[int]:
    return [later - earlier for earlier, later in pairwise([0, *numbers])]


def _tenths(at: float) -> int:
    return round(TENTH * at)


def _rounded(value: float | None) -> float | None:
    return value if value is None or isinstance(value, int) else float(f"{value:.{DIGITS}g}")

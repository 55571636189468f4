"""Every metric has its way to be better, or says that it has none."""

from surgetank.rehearsal.drill.output.direction import DIRECTIONS
from surgetank.rehearsal.scenario.metric import METRICS


def test_every_metric_is_placed() -> None:
    assert list(DIRECTIONS) == list(METRICS)


def test_every_metric_says_what_it_means() -> None:
    assert [name for name, one in DIRECTIONS.items() if not one.meaning] == []

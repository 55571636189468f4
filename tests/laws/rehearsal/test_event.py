"""What a scenario may say that happens: one thing each, told whose it is, and only what makes sense."""

from typing import Any

import pytest
from pydantic import ValidationError

from surgetank.rehearsal.scenario.event import (
    Autoscale,
    Entry,
    Gate,
    PolicyFault,
    Repair,
    ScaleOut,
    TrafficOff,
)

FAULT: dict[str, Any] = {"kind": "remediation", "pace_s": 1.0}
REPAIR: dict[str, Any] = {"kind": "repair"}
TRAFFIC_OFF: dict[str, Any] = {
    "kind": "traffic_off",
    "step_ratio": 0.1,
    "step_s": 60.0,
    "queue_s_max": 30.0,
}
AUTOSCALE: dict[str, Any] = {
    "kind": "autoscale",
    "queue_s": 20.0,
    "ratio": 0.25,
    "most_ratio": 1.0,
    "provision_s": 600.0,
}
PLAIN: dict[str, Any] = {
    "at": "2026-02-02T18:00:00Z",
    "title": "it happens",
    "regions": ["here", "there"],
    "assumed": "for a test",
}


def entry(**said: Any) -> Entry:
    return Entry.model_validate({**PLAIN, **said})


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (REPAIR, Repair),
        ({**REPAIR, "gate": {"hold_s": 60.0, "success_ratio": 0.9}}, Repair),
        ({"kind": "scale_out", "ratio": 0.5}, ScaleOut),
        (AUTOSCALE, Autoscale),
        (TRAFFIC_OFF, TrafficOff),
    ],
)
def test_each_act_is_known_by_its_kind(said: dict[str, Any], kind: type) -> None:
    assert isinstance(entry(act=said).act, kind)


def test_a_fault_is_known_by_its_kind() -> None:
    assert isinstance(entry(fault=FAULT).fault, PolicyFault)


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ({}, "either `fault` or `act`"),
        ({"fault": FAULT, "act": REPAIR}, "either `fault` or `act`"),
        ({"fault": FAULT, "when": "identity@here.success_ratio < 0.5 for 10m"}, "only operators"),
        ({"act": REPAIR, "source": "somebody"}, "either `source` or `assumed`"),
        ({"act": REPAIR, "assumed": None}, "either `source` or `assumed`"),
        ({"act": REPAIR, "regions": []}, "at least 1"),
        ({"act": REPAIR, "when": "now"}, "success_ratio < NUMBER"),
        (
            {"act": REPAIR, "when": "identity@elsewhere.success_ratio < 0.5 for 10m"},
            "no such region",
        ),
        ({"act": {**REPAIR, "gate": {"hold_s": 60.0}}}, "success_ratio"),
        ({"act": {**REPAIR, "pace_s": 1.0}}, "pace_s"),
        ({"act": {"kind": "pray"}}, "tag"),
        ({"fault": {"kind": "overload"}}, "remediation"),
    ],
)
def test_what_makes_no_sense_is_refused(said: dict[str, Any], wanted: str) -> None:
    with pytest.raises(ValidationError, match=wanted):
        entry(**said)


@pytest.mark.parametrize("region", ["*", "here", "there"])
def test_operators_look_at_a_region_of_the_entry_or_at_each(region: str) -> None:
    when = f"identity@{region}.success_ratio < 0.5 for 10m"
    assert entry(act=REPAIR, when=when).when == when


@pytest.mark.parametrize(
    ("act", "name", "wrong"),
    [
        (TRAFFIC_OFF, "step_ratio", 0.0),
        (TRAFFIC_OFF, "step_ratio", 1.1),
        (TRAFFIC_OFF, "step_s", 0.0),
        (TRAFFIC_OFF, "queue_s_max", 0.0),
        (AUTOSCALE, "queue_s", 0.0),
        (AUTOSCALE, "ratio", 0.0),
        (AUTOSCALE, "most_ratio", 0.0),
        (AUTOSCALE, "provision_s", 0.0),
        ({"kind": "scale_out"}, "ratio", 0.0),
        (REPAIR, "gate", {"hold_s": 0.0, "success_ratio": 0.9}),
        (REPAIR, "gate", {"hold_s": 60.0, "success_ratio": 1.1}),
    ],
)
def test_a_figure_out_of_range_is_refused_by_name(
    act: dict[str, Any], name: str, wrong: object
) -> None:
    with pytest.raises(ValidationError, match=name):
        entry(act={**act, name: wrong})


@pytest.mark.parametrize("name", [name for name in (*TRAFFIC_OFF, *AUTOSCALE) if name != "kind"])
def test_no_figure_of_an_act_may_be_left_out(name: str) -> None:
    act = TRAFFIC_OFF if name in TRAFFIC_OFF else AUTOSCALE
    with pytest.raises(ValidationError, match=name):
        entry(act={key: value for key, value in act.items() if key != name})


def test_a_gate_may_ask_for_everything_or_for_nothing() -> None:
    assert [Gate(hold_s=1.0, success_ratio=ratio).success_ratio for ratio in (0.0, 1.0)] == [0, 1]


@pytest.mark.parametrize(
    ("said", "variants"),
    [
        ({}, {"a", "b", "c"}),
        ({"only": ["a"]}, {"a"}),
        ({"never": ["a"]}, {"b", "c"}),
        ({"only": ["a", "b"], "never": ["b"]}, {"a"}),
        ({"only": ["a"], "never": ["a"]}, set[str]()),
    ],
)
def test_an_entry_is_of_all_variants_but_where_it_says_otherwise(
    said: dict[str, Any], variants: set[str]
) -> None:
    found = entry(act=REPAIR, **said)
    assert {variant for variant in ("a", "b", "c") if found.is_of(variant)} == variants

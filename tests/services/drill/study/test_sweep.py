"""A sweep plays a setting or a figure through some values, each as a variant of its own."""

from collections.abc import Callable
from typing import Any

import pytest

from surgetank.app.wiring import quiet_logs
from surgetank.core.errors import InvalidInputError
from surgetank.rehearsal.drill.comparison import replay_command
from surgetank.rehearsal.drill.digest import digest
from surgetank.rehearsal.drill.play import play
from surgetank.rehearsal.drill.study.sweep import (
    REFINE_MAX,
    VALUES_MAX,
    Sweep,
    Swept,
    read_sweep,
    sweep,
    usual_variants,
)
from surgetank.rehearsal.scenario.reader import Source

COLLAPSE = {"identity_headroom": (2.0, 0.5, 9.0)}
"""At 18:00 it is the busy hour in the US: tokens fail at once where there is no headroom."""


def swept(source: Source, text: str, **changes: Any) -> Swept:
    options: dict[str, Any] = {"variants": [], "seeds": [1], "refine": 0, "jobs": 1, **changes}
    return sweep(
        source, read_sweep(text), **options, on_run=lambda _: None, prepare=quiet_logs
    )  # fmt: skip


def refusal(source: Source, text: str, **changes: Any) -> str:
    with pytest.raises(InvalidInputError) as caught:
        swept(source, text, **changes)
    return str(caught.value)


@pytest.fixture(scope="module")
def source(make_source: Callable[..., Source]) -> Source:
    return make_source({"identity_headroom": (2, 1, 3), "own_share": (0.1, 0.05, 0.2)})


def test_a_share_makes_variants_of_everybody_with_the_most_safeguards(source: Source) -> None:
    found = swept(source, "share=1,0.1", seeds=[1, 2])
    names = ["everybody-all@share=0.1", "everybody-all@share=1"]
    assert list(found.result["variants"]) == names
    assert [one["share"] for one in found.result["variants"].values()] == [0.1, 1.0]
    assert [one["seat"] for one in found.result["variants"].values()] == ["everybody"] * 2
    assert found.result["variants"][names[0]]["title"] == "everybody: all, share 0.1"
    assert found.result["sweep"]["points"] == [
        {"value": 0.1, "variant": names[0], "of": "everybody-all"},
        {"value": 1.0, "variant": names[1], "of": "everybody-all"},
    ]
    assert [(run.variant, run.seed) for run in found.runs] == [
        (name, seed) for name in names for seed in (1, 2)
    ]


def test_a_sweep_is_of_the_scenario_as_it_is_written(source: Source) -> None:
    found = swept(source, "boot_s=41")
    assert found.result["scenario_digest"] == digest(source.scenario())


def test_what_a_sweep_made_can_be_replayed(source: Source) -> None:
    found = swept(source, "share=0.1", seeds=[2])
    assert replay_command(found.scenario, found.result, source="short.yaml") == (
        "surgetank drill short.yaml --sweep share=0.1 --variant everybody-all --seed 2"
    )


def test_a_value_that_the_scenario_has_plays_what_its_own_variant_does(source: Source) -> None:
    found = swept(source, "warm_ratio=0.5,1", variants=["everybody-mirror"])
    plain = play(source.scenario(), "everybody-mirror-half-warm", seed=1)
    assert found.runs[0].variant == "everybody-mirror@warm_ratio=0.5"
    assert found.runs[0].trace_hash == plain.trace_hash
    assert found.runs[1].trace_hash != plain.trace_hash


def test_what_happens_in_a_variant_alone_happens_in_those_made_from_it(
    make_source: Callable[..., Source],
) -> None:
    source = make_source()
    for entry in source.data["timeline"]:
        if "fault" in entry:
            entry["only"] = ["everybody-governor"]
    found = swept(source, "share=0,1", variants=["everybody-governor"])
    assert all(run.acted for run in found.runs)


def test_a_figure_is_swept_in_the_variants_named(source: Source) -> None:
    found = swept(source, "identity_headroom=1,3", variants=["nobody", "issuer-admission"])
    assert found.result["sweep"]["variants"] == ["nobody", "issuer-admission"]
    assert list(found.result["variants"]) == [
        f"{of}@identity_headroom={value}" for of in ("nobody", "issuer-admission") for value in "13"
    ]
    assert [one["of"] for one in found.result["sweep"]["points"]] == [
        "nobody", "nobody", "issuer-admission", "issuer-admission",
    ]  # fmt: skip


def test_your_own_share_is_a_figure(source: Source) -> None:
    found = swept(source, "own_share=0.05,0.1,0.2", variants=["you-1pct"])
    made = found.result["variants"].values()
    assert [one["share"] for one in made] == [0.05, 0.1, 0.2]
    assert [one["title"] for one in made] == [f"you, {share}% of the load" for share in (5, 10, 20)]


@pytest.mark.parametrize(
    ("title", "variant", "said"),
    [
        ("us, with half a mirror", "you-1pct", "us, with half a mirror, own_share 0.2"),
        ("nobody, or 1% of the load", "nobody", "nobody, or 1% of the load, own_share 0.2"),
    ],
)
def test_a_title_that_does_not_state_your_share_keeps_its_words(
    make_source: Callable[..., Source], title: str, variant: str, said: str
) -> None:
    source = make_source({"own_share": (0.1, 0.05, 0.2)})
    source.data["variants"][variant]["title"] = title
    found = swept(source, "own_share=0.2", variants=[variant])
    assert [one["title"] for one in found.result["variants"].values()] == [said]


def test_expectations_of_variants_that_are_not_played_are_not_judged(
    make_source: Callable[..., Source],
) -> None:
    wanted = {
        "variant": "nobody",
        "metric": "operations_submitted",
        "over": "max",
        "at_most": 0,
    }
    found = swept(make_source(expect=[wanted]), "share=0.5")
    assert (found.result["expectations"], found.result["verdict"]) == ([], "met")


def test_refining_looks_between_the_values_where_the_outage_goes(
    make_source: Callable[..., Source],
) -> None:
    source = make_source(COLLAPSE, end="2026-02-02T18:45:00Z")
    found = swept(source, "identity_headroom=0.5,9", variants=["nobody"], refine=2)
    values = [one["value"] for one in found.result["sweep"]["points"]]
    assert values == sorted(values)
    assert len(values) == 4
    (turn,) = found.result["sweep"]["turning_points"]
    assert turn["of"] == "nobody"
    assert 0 < turn["first_without"] - turn["last_with"] <= (9 - 0.5) / 4 + 0.01


def test_refining_stops_where_nothing_turns(source: Source) -> None:
    found = swept(source, "identity_headroom=2,3", variants=["nobody"], refine=REFINE_MAX)
    assert len(found.runs) == 2
    assert found.result["sweep"]["turning_points"] == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("share=0.5", Sweep("share", (0.5,))),
        ("share=1,0.1,.5", Sweep("share", (0.1, 0.5, 1.0))),
        ("boot_s=1e1,0.123456789", Sweep("boot_s", (0.123457, 10.0))),
    ],
)
def test_values_are_read_in_ascending_order(text: str, expected: Sweep) -> None:
    assert read_sweep(text) == expected


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("foo", "write NAME=VALUE"),
        ("", "write NAME=VALUE"),
        ("=1", "write NAME=VALUE"),
        ("share=", "write NAME=VALUE"),
        ("share=0.1,", "write NAME=VALUE"),
        ("share=half", "write NAME=VALUE"),
        ("share=nan", "write NAME=VALUE"),
        ("share=inf", "write NAME=VALUE"),
        ("share=0.5,0.1,.5", "0.5 is there twice"),
        (f"share={','.join(str(one) for one in range(VALUES_MAX + 1))}", f"at most {VALUES_MAX}"),
    ],
)
def test_what_is_no_sweep_is_refused(text: str, wanted: str) -> None:
    with pytest.raises(InvalidInputError, match=wanted):
        read_sweep(text)


@pytest.mark.parametrize(
    ("text", "changes", "wanted"),
    [
        ("shar=0.1", {}, "did you mean share?"),
        ("zzzzzzz=0.1", {}, "there are: share, warm_ratio, own_share"),
        ("share=2", {}, "share = 2: from 0 to 1"),
        ("warm_ratio=-1", {}, "warm_ratio = -1: from 0 to 1"),
        ("identity_headroom=4", {}, "from 1 to 3"),
        ("identity_nodes=2.5", {}, "integer"),
        ("share=0.5", {"variants": ["anybody"]}, "no variant 'anybody'"),
        ("share=0.5", {"variants": ["you-1pct"]}, "its seat is not everybody"),
        ("warm_ratio=0.5", {"variants": ["nobody"]}, "it has no mirror"),
        ("share=0.5", {"seeds": []}, "seeds"),
        ("share=0.5", {"refine": REFINE_MAX + 1}, f"from 0 to {REFINE_MAX}"),
    ],
)
def test_what_cannot_be_swept_is_refused_with_what_can(
    source: Source, text: str, changes: dict[str, Any], wanted: str
) -> None:
    assert wanted in refusal(source, text, **changes)


def test_a_scenario_without_everybody_has_no_usual_variant(
    make_source: Callable[..., Source],
) -> None:
    scenario = make_source().scenario()
    only = {"nobody": scenario.variants["nobody"]}
    with pytest.raises(InvalidInputError, match="name one of nobody"):
        usual_variants(scenario.model_copy(update={"variants": only}))

"""Who is dealt what: shares and ways of reading are spread evenly over what each fleet asks for."""

from collections import Counter, defaultdict
from datetime import timedelta

import pytest

from surgetank.rehearsal.drill.ledger import Fate, Wanted
from surgetank.rehearsal.drill.play import Run, play
from surgetank.rehearsal.scenario.reader import load
from surgetank.rehearsal.scenario.schema import ANONYMOUS, Reads, Scenario, Seat, Variant

FULL = load("azure-2026-02")
MINUTES = 30
PARTS = {"private_endpoint": 0.1, "service_endpoint": 0.2, "sas": 0.3, "identity": 0.1}
BLOCKED_S = 300.0
"""From then on no account lets the public read."""
HALF = Variant(title="half", seat=Seat.EVERYBODY, share=0.5, release="adaptive")
MINE = Variant(title="you", seat=Seat.YOU, share=0.2, mirror_warm_ratio=1.0)
SAVED = Variant(title="saved", seat=Seat.EVERYBODY, share=1.0, mirror_warm_ratio=1.0)


def scenario(**reads: float) -> Scenario:
    """Some minutes, with machines that read in these shares."""
    ways = {**dict.fromkeys(Reads.model_fields, 0.0), **reads}
    cloud = FULL.cloud.model_copy(update={"reads": Reads.model_validate(ways)})
    return FULL.model_copy(
        update={
            "cloud": cloud,
            "end": FULL.start + timedelta(minutes=MINUTES),
            "own_share": 0.2,
            "variants": {**FULL.variants, "half": HALF, "mine": MINE, "saved": SAVED},
        }
    )


@pytest.fixture(scope="module")
def mixed() -> Run:
    """Nobody acts, and machines read in all ways."""
    return play(scenario(**PARTS), "nobody", seed=1)


@pytest.fixture(scope="module")
def half() -> Run:
    return play(scenario(), "half", seed=1)


def by_fleet(run: Run) -> dict[str, list[list[Wanted]]]:
    """What the makers of each fleet asked for: one for each region, or for each of its pools."""
    made: dict[str, dict[str, list[Wanted]]] = defaultdict(lambda: defaultdict(list))
    for one in run.wanted:
        made[one.fleet][one.key.rpartition("-")[0]].append(one)
    return {fleet: list(makers.values()) for fleet, makers in made.items()}


def test_the_creates_of_every_region_read_in_the_shares_that_the_scenario_says(mixed: Run) -> None:
    for fleet in ("machines", "scale-sets"):
        for wanted in by_fleet(mixed)[fleet]:
            ways = Counter(one.way for one in wanted)
            for way, share in {**PARTS, ANONYMOUS: 0.3}.items():
                assert abs(ways[way] - share * len(wanted)) <= 2


def test_pools_read_in_every_way_and_mostly_in_the_shares_that_the_scenario_says(
    mixed: Run,
) -> None:
    makers = [made for fleet in scenario().pools() for made in by_fleet(mixed)[fleet]]
    wanted = [one for made in makers for one in made]
    ways = Counter(one.way for one in wanted)
    for way, share in {**PARTS, ANONYMOUS: 0.3}.items():
        assert 0.5 * share < ways[way] / len(wanted) < 1.5 * share + 0.05


def test_whoever_brings_a_credential_is_let_in_while_the_public_is_not(mixed: Run) -> None:
    late = [one for one in mixed.wanted if one.submitted_at > FULL.start.timestamp() + BLOCKED_S]
    fates: dict[str, set[bool | None]] = defaultdict(set)
    for one in late:
        fates[one.way].add(one.first_is_ok)
    assert fates[ANONYMOUS] <= {False, None}
    assert False in fates[ANONYMOUS]
    assert all(fates[way] <= {True, None} and True in fates[way] for way in PARTS)


def test_a_machine_that_reads_by_its_identity_asks_for_one_token_more() -> None:
    (machines,) = (fleet for fleet in FULL.fleet if fleet.name == "machines")
    alone = (machines.model_copy(update={"tokens": 1}),)

    def tokens(way: str) -> int:
        of_way = scenario(**{way: 1.0})
        ample = of_way.cloud.identity.model_copy(update={"headroom": 100.0})
        cloud = of_way.cloud.model_copy(update={"identity": ample})
        run = play(of_way.model_copy(update={"fleet": alone, "cloud": cloud}), "nobody", seed=1)
        return sum(sum(one.tokens_tried) for one in run.series.regions.values())

    assert tokens("identity") == pytest.approx(2 * tokens("sas"), rel=0.1)


def test_a_share_covers_its_part_of_the_creates_of_every_fleet_and_region(half: Run) -> None:
    for fleet in ("machines", "scale-sets"):
        for wanted in by_fleet(half)[fleet]:
            covered = sum(one.is_covered for one in wanted)
            assert abs(covered - 0.5 * len(wanted)) <= 1


def test_a_pool_is_covered_or_not_and_yours_or_not_as_a_whole(half: Run) -> None:
    for fleet in scenario().pools():
        makers = by_fleet(half)[fleet]
        covered = [{one.is_covered for one in wanted} for wanted in makers]
        assert sorted(map(len, covered)) == [1] * len(makers)
        assert {True} in covered
        assert {False} in covered
        assert {len({one.is_own for one in wanted}) for wanted in makers} == {1}


def test_what_is_not_covered_goes_on_as_it_did(half: Run) -> None:
    why = defaultdict[bool, set[str]](set)
    for one in half.wanted:
        why[one.is_covered] |= {moment.why for moment in one.moments if moment.what == "waits"}
    assert why[False] == {"before it is tried again"}
    assert why[True].isdisjoint(why[False])


def test_your_seat_covers_your_work_and_no_other() -> None:
    run = play(scenario(), "mine", seed=1)
    after = FULL.start.timestamp() + BLOCKED_S
    firsts = {
        (one.is_own, one.first_is_ok)
        for one in run.wanted
        if one.submitted_at > after and one.first_is_ok is not None
    }
    assert firsts == {(True, True), (False, False)}


def test_a_mirror_saves_those_who_read_as_the_public_does() -> None:
    run = play(scenario(), "saved", seed=1)
    assert {one.first_is_ok for one in run.wanted} == {True, None}
    assert {one.fate for one in run.wanted} == {Fate.SUCCEEDED, Fate.OPEN}

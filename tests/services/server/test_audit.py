import errno
import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from surgetank.core.errors import DependencyError, IntegrityError, InvalidInputError
from surgetank.runtime.policy import AUDIT_BYTES_MIN, AuditPolicy
from surgetank.runtime.server.audit import BODY_CHARACTERS_MAX, Act, AuditTrail
from surgetank.runtime.simulation.blocking import InlineBlocking
from surgetank.runtime.simulation.clock import VirtualClock
from surgetank.runtime.simulation.loop import VirtualLoop, run

Play = Callable[..., None]
ACT = Act("alice", "PUT", "/v1/holds/all", '{"reason": "tokens"}')
DAY_S = 86_400.0


class _Trail:
    """A trail in a folder, and the time."""

    def __init__(self, trail: AuditTrail, clock: VirtualClock, folder: Path) -> None:
        self.trail, self.clock, self.folder = trail, clock, folder

    async def act(self, times: int = 1, body: str = "") -> None:
        for _ in range(times):
            number = await self.trail.begin(ACT._replace(body=body))
            await self.trail.end(number, ACT, status=200)

    async def numbers(self, *, after: int = 0, limit: int = 200) -> list[int]:
        return [one["number"] for one in await self.trail.read(after=after, limit=limit)]

    def bytes_held(self) -> int:
        return sum(file.stat().st_size for file in self.folder.iterdir())


@pytest.fixture
def keep(tmp_path: Path) -> Callable[..., None]:
    """Play a coroutine in virtual time: it is handed a trail."""

    def keep(main: Callable[[_Trail], Coroutine[Any, Any, None]], **limits: Any) -> None:
        async def whole(loop: VirtualLoop) -> None:
            clock = VirtualClock(loop)
            trail = await AuditTrail.open(
                tmp_path, policy=AuditPolicy(**limits), blocking=InlineBlocking(), clock=clock
            )
            await main(_Trail(trail, clock, tmp_path))

        run(whole, start_at=1_770_055_380.0)

    return keep


def test_an_act_is_written_down_before_and_after(play: Play) -> None:
    async def main(world: Any) -> None:
        await world.ask("POST", "/v1/operations/x/cancel")
        begun, ended = (await world.ask("GET", "/v1/audit")).body["entries"]
        assert (begun["who"], begun["path"]) == ("admin", "/v1/operations/x/cancel")
        assert (begun["at"], begun["status"]) == ("2026-02-02T18:03:00.000Z", None)
        assert (ended["ends"], ended["status"]) == (begun["number"], 404)

    play(main)


def test_what_an_act_was_asked_with_is_kept(play: Play) -> None:
    async def main(world: Any) -> None:
        await world.ask("PUT", "/v1/holds/all", {"reason": "tokens"})
        begun = (await world.ask("GET", "/v1/audit")).body["entries"][0]
        assert json.loads(begun["body"]) == {"reason": "tokens"}

    play(main)


def test_who_may_not_act_is_not_in_the_trail(play: Play) -> None:
    async def main(world: Any) -> None:
        await world.ask("PUT", "/v1/holds/all", {}, who="worker")
        assert (await world.ask("GET", "/v1/audit")).body["entries"] == []

    play(main)


def test_an_act_that_cannot_be_written_down_is_not_begun(play: Play) -> None:
    async def main(world: Any) -> None:
        (world.folder / "audit").rmdir()
        answer = await world.ask("PUT", "/v1/holds/all", {})
        assert (answer.status, answer.body["may_have_acted"]) == (503, False)
        assert "the audit trail cannot be written" in answer.body["detail"]
        assert (await world.ask("GET", "/v1/holds")).body["holds"] == []

    play(main)


def test_pages_of_the_trail_follow_one_another(play: Play) -> None:
    async def main(world: Any) -> None:
        for number in range(3):
            await world.ask("POST", f"/v1/operations/{number}/cancel")
        first = (await world.ask("GET", "/v1/audit?limit=4")).body
        rest = (await world.ask("GET", f"/v1/audit?limit=4&cursor={first['next']}")).body
        numbers = [entry["number"] for entry in first["entries"] + rest["entries"]]
        assert (numbers, rest["next"]) == ([1, 2, 3, 4, 5, 6], None)

    play(main)


def test_numbers_go_on_after_a_restart(keep: Callable[..., None]) -> None:
    async def first(kept: _Trail) -> None:
        await kept.act()

    async def second(kept: _Trail) -> None:
        await kept.act()
        assert await kept.numbers() == [1, 2, 3, 4]

    keep(first)
    keep(second)


def test_half_a_line_of_a_crash_is_cut_off(keep: Callable[..., None], tmp_path: Path) -> None:
    async def first(kept: _Trail) -> None:
        await kept.act()

    async def second(kept: _Trail) -> None:
        await kept.act()
        assert await kept.numbers() == [1, 2, 3, 4]

    keep(first)
    (file,) = tmp_path.iterdir()
    with file.open("ab") as opened:
        opened.write(b'{"number": 3, "at"')
    keep(second)


def test_a_line_that_is_no_entry_is_told(keep: Callable[..., None], tmp_path: Path) -> None:
    (tmp_path / f"{1:016d}.jsonl").write_bytes(b"nonsense\n")

    async def main(kept: _Trail) -> None:
        with pytest.raises(IntegrityError, match="no entry of an audit trail"):
            await kept.trail.read(after=0, limit=1)

    keep(main)


def test_the_oldest_goes_when_the_trail_is_too_large(keep: Callable[..., None]) -> None:
    async def main(kept: _Trail) -> None:
        await kept.act(times=300, body="x" * 200)
        assert AUDIT_BYTES_MIN * 3 // 4 < kept.bytes_held() <= AUDIT_BYTES_MIN
        numbers = await kept.numbers(after=400)
        assert numbers == list(range(401, 601))
        assert (await kept.numbers())[0] > 1

    keep(main, bytes_max=AUDIT_BYTES_MIN)


def test_what_is_too_old_goes(keep: Callable[..., None]) -> None:
    async def main(kept: _Trail) -> None:
        for _ in range(80):
            await kept.act()
            await kept.clock.sleep_until(kept.clock.now() + DAY_S / 4)
        entries = await kept.trail.read(after=0, limit=200)
        oldest_s = kept.clock.now() - entries[0]["at"]
        assert 8 * DAY_S <= oldest_s <= 8 * DAY_S * 1.25 + DAY_S / 4

    keep(main, keep_s=8 * DAY_S)


def test_a_long_body_is_cut(keep: Callable[..., None]) -> None:
    async def main(kept: _Trail) -> None:
        await kept.act(body="x" * (BODY_CHARACTERS_MAX + 1))
        entry, _ = await kept.trail.read(after=0, limit=2)
        assert len(entry["body"]) == BODY_CHARACTERS_MAX

    keep(main)


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "audit").write_text("")

    async def whole(loop: VirtualLoop) -> None:
        with pytest.raises(DependencyError, match="cannot be used") as caught:
            await AuditTrail.open(
                tmp_path / "audit",
                policy=AuditPolicy(),
                blocking=InlineBlocking(),
                clock=VirtualClock(loop),
            )
        assert isinstance(caught.value.__cause__, OSError)
        assert caught.value.__cause__.errno == errno.EEXIST

    run(whole, start_at=0.0)


@pytest.mark.parametrize("limits", [{"keep_s": 0.0}, {"bytes_max": AUDIT_BYTES_MIN - 1}])
def test_limits_out_of_range_are_refused(limits: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError, match="out of range"):
        AuditPolicy(**limits)

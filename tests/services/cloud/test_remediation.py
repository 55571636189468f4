"""The job that began it: it trusts its list, and its list is stale."""

from typing import TYPE_CHECKING

from surgetank.cloud.blob import Account
from surgetank.cloud.remediation import RemediationJob, restore
from surgetank.core.policy import AccountAccess

if TYPE_CHECKING:
    from tests.services.cloud.conftest import Play, Stage

BLOCKED = AccountAccess(allow_blob_public_access=False)


def _inventory(*names: str) -> dict[str, Account]:
    return {name: Account(name) for name in names}


def test_changes_what_is_on_its_list_though_it_was_never_meant(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        inventory = _inventory("scratch", "extensions", "other")
        job = RemediationJob(inventory, ["scratch", "extensions"], 20.0, stage.clock)
        assert await job.run() == ("scratch", "extensions")
        blocked = [name for name, account in inventory.items() if account.access == BLOCKED]
        assert blocked == ["scratch", "extensions"]

    play(body)


def test_passes_over_accounts_that_are_gone(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        inventory = _inventory("b")
        assert await RemediationJob(inventory, ["a", "b", "c"], 20.0, stage.clock).run() == ("b",)

    play(body)


def test_goes_from_account_to_account_at_its_pace(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        inventory = _inventory("a", "b", "c")
        job = stage.start(RemediationJob(inventory, ["a", "b", "c"], 20.0, stage.clock).run())
        blocked: dict[float, int] = {}
        for second in (0.0, 19.0, 21.0, 41.0):
            await stage.until(second)
            blocked[second] = sum(one.access == BLOCKED for one in inventory.values())
        await job
        assert blocked == {0.0: 1, 19.0: 1, 21.0: 2, 41.0: 3}
        assert stage.passed_s == 60.0

    play(body)


def test_may_change_everything_at_once(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        inventory = _inventory("a", "b")
        await RemediationJob(inventory, ["a", "b"], 0.0, stage.clock).run()
        assert [one.access for one in inventory.values()] == [BLOCKED, BLOCKED]
        assert stage.passed_s == 0.0

    play(body)


def test_changes_that_one_property_only(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        account = Account("a", AccountAccess(default_action="Deny"))
        await RemediationJob({"a": account}, ["a"], 0.0, stage.clock).run()
        assert account.access == BLOCKED._replace(default_action="Deny")

    play(body)


def test_the_repair_lets_the_public_read_again(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        account = Account("a")
        url = account.put("/ext/m.xml", b"<m/>")
        statuses: list[int] = []
        await RemediationJob({"a": account}, ["a"], 0.0, stage.clock).run()
        statuses.append((await stage.call(account.handle, "GET", url)).status)
        restore(account)
        statuses.append((await stage.call(account.handle, "GET", url)).status)
        assert statuses == [409, 200]

    play(body)

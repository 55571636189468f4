"""Operations whose steps are real programs, by what a running service is made of."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

from surgetank.app.wiring import Live, live
from surgetank.core.operation import NewOperation, OperationId, OperationState, Step
from surgetank.core.value import Dependency
from surgetank.runtime.assembly import Running, make_actions, start_operations
from surgetank.safeguards.operations.command_action import CommandActionPolicy
from surgetank.safeguards.operations.http_action import HttpActionPolicy
from surgetank.safeguards.operations.permits import OpenPermits
from surgetank.safeguards.operations.policy import OperationsPolicy
from surgetank.safeguards.operations.record import Record
from surgetank.safeguards.operations.service import Operations

POLICY = OperationsPolicy(lease_s=0.5, scan_s=0.1, close_s=0.0)
LONG = """
[ -z "$SURGETANK_CHECKPOINT" ] || { echo "$SURGETANK_CHECKPOINT" > resumed; exit 0; }
echo begun > "$SURGETANK_CHECKPOINT_FILE"
trap '' TERM
echo $$ > pid.new
mv pid.new pid
sleep 600
sleep 600
"""


async def worker(here: Live, running: Running, folder: Path, name: str) -> Operations:
    actions = make_actions(
        here.ports,
        http=here.http,
        http_policy=HttpActionPolicy(),
        processes=here.processes,
        command_policy=CommandActionPolicy(grace_s=0.2),
    )
    assert sorted(actions) == ["command", "http"]
    return await start_operations(
        running,
        here.ports,
        file=str(folder / "operations.sqlite"),
        permits=OpenPermits(clock=here.ports.clock),
        actions=actions,
        policy=POLICY,
        worker=name,
    )


def operation(folder: Path, *scripts: str) -> NewOperation:
    """One step a script, none of which may be repeated."""
    steps = (
        Step(
            f"s{number}",
            Dependency("shell@here"),
            "command",
            json.dumps({"argv": ["sh", "-c", script], "cwd": str(folder)}),
        )
        for number, script in enumerate(scripts)
    )
    return NewOperation("key", "test", "here", tuple(steps))


async def ended(here: Live, operations: Operations, operation_id: OperationId) -> Record:
    while True:
        record = await operations.get(operation_id)
        assert record is not None, "what was acknowledged is not lost"
        if record.finished_at is not None:
            return record
        await here.ports.clock.sleep_until(here.ports.clock.now() + 0.02)


def done(folder: Path, *scripts: str) -> Record:
    """What becomes of an operation of these steps, by one worker."""

    async def main() -> Record:
        running = Running()
        async with live() as here:
            try:
                operations = await worker(here, running, folder, "w1")
                receipt = await operations.submit(operation(folder, *scripts))
                return await ended(here, operations, receipt.id)
            finally:
                await running.close()

    return asyncio.run(main())


def test_steps_run_one_after_another(tmp_path: Path) -> None:
    record = done(tmp_path, "echo one >> said", "echo two >> said")
    assert record.state is OperationState.SUCCEEDED
    assert (tmp_path / "said").read_text() == "one\ntwo\n"


def test_a_step_that_fails_says_why(tmp_path: Path) -> None:
    record = done(tmp_path, "echo full >&2; exit 4")
    assert (record.state, record.detail) == (OperationState.FAILED, "s0: exit 4: full")


def test_a_worker_that_closes_ends_its_programs_and_the_next_goes_on_from_the_checkpoint(
    tmp_path: Path, is_gone: Callable[[int], bool]
) -> None:
    async def main() -> Record:
        first, second = Running(), Running()
        async with live() as here:
            try:
                operations = await worker(here, first, tmp_path, "w1")
                receipt = await operations.submit(operation(tmp_path, LONG))
                while (record := await operations.get(receipt.id)) is not None:
                    if record.progress[0].checkpoint and (tmp_path / "pid").exists():
                        break
                    await here.ports.clock.sleep_until(here.ports.clock.now() + 0.02)
                await first.close()
                assert is_gone(int((tmp_path / "pid").read_text()))
                operations = await worker(here, second, tmp_path, "w2")
                return await ended(here, operations, receipt.id)
            finally:
                await first.close()
                await second.close()

    assert asyncio.run(main()).state is OperationState.SUCCEEDED
    assert (tmp_path / "resumed").read_text() == "begun\n"

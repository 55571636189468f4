import asyncio
import subprocess
import sys
import time

from surgetank.runtime.live.clock import SystemClock, host_now


def test_it_says_the_wall_time_at_its_start() -> None:
    before = time.time()  # noqa: TID251 - what it is measured against
    now = SystemClock().now()
    after = time.time()  # noqa: TID251 - what it is measured against
    assert before - 0.01 <= now <= after + 0.01


def test_it_never_runs_backwards_nor_wakes_early() -> None:
    async def main() -> None:
        clock, last = SystemClock(), 0.0
        for wait_s in (0.01, 0.0, -1.0, 0.001):
            at = clock.now() + wait_s
            await clock.sleep_until(at)
            assert clock.now() >= max(at, last)
            last = clock.now()

    asyncio.run(main())


def test_processes_of_a_host_read_one_clock() -> None:
    code = "import surgetank.runtime.live.clock as clock; print(clock.host_now())"
    before = host_now()
    other = float(subprocess.check_output([sys.executable, "-c", code], timeout=60))  # noqa: S603 - our own code
    assert before <= other <= host_now()

"""An asyncio loop whose clock jumps to the next timer, so that thirteen hours take seconds.

Rules:
- One thread, no selector, no sockets: what would touch the world raises `FenceError`.
- Time stands still while anything is ready, then jumps to the earliest timer.
- Order depends on nothing but the program and the seed: what is ready runs first come, first
  served, or shuffled by the seed; tasks and futures hash by number, not by address, so sets of
  them (`TaskGroup`, `asyncio.wait`) iterate alike in every process; garbage is collected at
  counted steps, not when memory happens to fill.
- It ends: a deadlock and a spin raise, and say who.

It leans on five inner names of `asyncio.BaseEventLoop` (`_ready`, `_stopping`, `_run_once`,
`_check_closed`, `_asyncgen_firstiter_hook`), alike in Python 3.11 to 3.13.
"""

import asyncio
import gc
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from contextvars import Context, copy_context
from heapq import heapify, heappop, heappush
from math import inf
from threading import get_ident
from traceback import extract_tb
from typing import Any, Literal, NoReturn, TypeVar, TypeVarTuple
from weakref import WeakValueDictionary

from surgetank.core.errors import DeadlockError, FenceError, SimulationError
from surgetank.runtime.simulation.chance import stream
from surgetank.runtime.simulation.fence import fence, refusal
from surgetank.runtime.simulation.waiting import describe_callback, describe_tasks

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
Scheduling = Literal["fifo", "shuffled"]

STEPS_PER_INSTANT_LIMIT = 1_000_000
"""A replica of a fleet wakes some thousands of tasks at one instant, each for some tens of steps."""
STEPS_LIMIT = 200_000_000
"""About ten minutes of a processor; a drill of 80,000 requests takes some two million."""
DEFECTS_LIMIT = 100
"""Defects kept for the message; one is enough to fail a run."""
COLLECT_EVERY_STEPS = 2_000_000
"""Some seconds of a processor: a drill leaves some ten thousand objects in cycles by then, and to
look for them costs half a second."""
_PURGE_AT = 1_000  # Cancelled timers that are cheaper to keep than to sweep.
_WIND_UP_ROUNDS = 10  # Tasks that make tasks as they are cancelled get this many chances.


def _fenced(what: str) -> Any:  # stands in for methods of many shapes
    """A method that only says what it would have reached for."""

    def refuse(*_: object, **__: object) -> NoReturn:
        raise refusal(what.removeprefix("a "))

    return refuse


class NumberedTask(asyncio.Task[T]):
    """A task that hashes by its creation number."""

    __slots__ = ("number",)

    def __init__(
        self, coroutine: Coroutine[Any, Any, T], number: int, loop: "VirtualLoop", **options: Any
    ) -> None:
        self.number = number  # first: the base registers the task by its hash
        super().__init__(coroutine, loop=loop, **options)

    def __hash__(self) -> int:
        return self.number


class NumberedFuture(asyncio.Future[T]):
    """A future that hashes by its creation number."""

    __slots__ = ("number",)
    number: int

    def __hash__(self) -> int:
        return self.number


class Entry(asyncio.TimerHandle):
    """One call to make, now or later."""

    __slots__ = ("arguments", "at", "call", "context", "is_cancelled", "loop")

    def __init__(
        self,
        loop: "VirtualLoop",
        at: float,
        call: Callable[..., object],
        arguments: tuple[Any, ...],
        context: Context,
    ) -> None:  # the base's is not called: it asks the loop for its debug flag, and so do we not
        self.loop = loop
        self.at = at
        self.call = call
        self.arguments = arguments
        self.context = context
        self.is_cancelled = False

    def cancel(self) -> None:
        """Do not make the call; safe to repeat."""
        if not self.is_cancelled:
            self.is_cancelled = True
            self.call = _nothing  # lets go of what the call holds
            self.arguments = ()
            self.loop.timers_cancelled += 1

    def cancelled(self) -> bool:
        """Whether `cancel` was called."""
        return self.is_cancelled

    def when(self) -> float:
        """The instant it is due, on the loop's own clock."""
        return self.at

    def __hash__(self) -> int:
        return hash(self.at)

    def __eq__(self, other: object) -> bool:
        return self is other

    def __repr__(self) -> str:
        return f"<Entry at={self.at} {describe_callback(self.call)}>"


class VirtualLoop(asyncio.BaseEventLoop):
    """The loop of one drill; made by `run`."""

    _ready: deque[Entry]
    _stopping: bool
    _check_closed: Callable[[], None]

    def __init__(
        self,
        *,
        seed: int = 0,
        scheduling: Scheduling = "fifo",
        start_at: float = 0.0,
        steps_limit: int = STEPS_LIMIT,
        steps_per_instant_limit: int = STEPS_PER_INSTANT_LIMIT,
    ) -> None:
        """Make a loop at time 0.

        Args:
            seed: Of the shuffling; unused by `fifo`.
            scheduling: How calls that are ready together are ordered.
            start_at: What `VirtualClock` says at time 0, in seconds since 1970 UTC.
            steps_limit: Calls made before the run is given up; at least 1.
            steps_per_instant_limit: Calls made before time must move; at least 1.
        """
        super().__init__()
        self.set_debug(False)  # whatever the environment says: tracing would change the order
        self.slow_callback_duration = inf
        self.start_at = start_at
        self.steps = 0
        self.timers_cancelled = 0
        self.defects: list[str] = []
        self._steps_limit = steps_limit
        self._steps_per_instant_limit = steps_per_instant_limit
        self._shuffle = stream(seed, "scheduling").shuffle if scheduling == "shuffled" else None
        self._now = 0.0
        self._number = 0
        self._timers: list[tuple[float, int, Entry]] = []
        self._generators: WeakValueDictionary[int, AsyncGenerator[Any, Any]] = WeakValueDictionary()
        self._first_error: BaseException | None = None
        self._thread = get_ident()

    # Time

    def time(self) -> float:
        """Seconds since the loop was made."""
        return self._now

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> Entry:
        """Make a call at this instant, after what is ready already."""
        entry = Entry(
            self, self._now, callback, args, copy_context() if context is None else context
        )
        self._ready.append(entry)
        return entry

    def call_later(
        self,
        delay: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> Entry:
        """Make a call in `delay` seconds of virtual time."""
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> Entry:
        """Make a call when `time()` is `when`: at this instant if past, never if infinite."""
        entry = Entry(self, when, callback, args, copy_context() if context is None else context)
        if when <= self._now:
            self._ready.append(entry)
        elif when < inf:
            self._number = number = self._number + 1
            heappush(self._timers, (when, number, entry))
        return entry

    def call_soon_threadsafe(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> Entry:
        """As `call_soon`; from another thread it raises `FenceError`."""
        if get_ident() != self._thread:
            raise FenceError("another thread called into virtual time; use the Blocking port")
        return self.call_soon(callback, *args, context=context)

    def _run_once(self) -> None:
        """Run until stopped: the whole of it here, as one call for each batch costs a tenth."""
        ready, here_limit, shuffle = self._ready, self._steps_per_instant_limit, self._shuffle
        steps_here, check_at = 0, min(self.steps + COLLECT_EVERY_STEPS, self._steps_limit)
        while not self._stopping:
            if not ready:
                self._advance()
                steps_here = 0
            batch = len(ready)
            if shuffle is not None and batch > 1:
                entries = list(ready)
                shuffle(entries)
                ready.clear()
                ready.extend(entries)
            self._run_batch(batch)
            self.steps += batch
            steps_here += batch
            if steps_here > here_limit:
                self._fail_spinning(f"{steps_here} steps at {self._now} s and time does not move")
            if self.steps > check_at:
                if self.steps > self._steps_limit:
                    self._fail_spinning(f"{self.steps} steps by {self._now} s: over the limit")
                check_at = min(self.steps + COLLECT_EVERY_STEPS, self._steps_limit)
                gc.collect()

    def _run_batch(self, batch: int) -> None:
        take = self._ready.popleft
        for _ in range(batch):
            entry = take()
            if entry.is_cancelled:
                continue
            try:
                entry.context.run(entry.call, *entry.arguments)
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as error:  # noqa: BLE001 - kept as a defect; it fails the run
                self.call_exception_handler({"message": repr(entry), "exception": error})

    def _advance(self) -> None:
        """Jump to the earliest timer and make ready all that are due then."""
        timers = self._timers
        if self.timers_cancelled > _PURGE_AT and self.timers_cancelled * 2 > len(timers):
            timers[:] = [timer for timer in timers if not timer[2].is_cancelled]
            heapify(timers)
            self.timers_cancelled = 0
        while timers:
            when, _, entry = heappop(timers)
            if not entry.is_cancelled:
                break
        else:
            waiting = describe_tasks(self.tasks())
            raise DeadlockError(
                f"nothing is ready and no timer is armed at {self._now} s; these wait:\n{waiting}"
            )
        self._now = when
        append = self._ready.append
        append(entry)
        while timers and timers[0][0] <= when:
            append(heappop(timers)[2])

    def _fail_spinning(self, what: str) -> NoReturn:
        ready = [describe_callback(entry.call) for entry in list(self._ready)[:10]]
        raise SimulationError(f"{what}; ready now:\n  " + "\n  ".join(ready or ["nothing"]))

    # Tasks and futures

    def create_future(self) -> NumberedFuture[Any]:
        """Make a future that hashes by number."""
        future: NumberedFuture[Any] = NumberedFuture(loop=self)
        self._number = future.number = self._number + 1
        return future

    def create_task(
        self,
        coro: Coroutine[Any, Any, T] | Generator[Any, None, T],
        *,
        name: object = None,
        context: Context | None = None,
        **options: Any,
    ) -> NumberedTask[T]:
        """Start a task that hashes by number and, unnamed, is called by it."""
        self._check_closed()
        assert isinstance(coro, Coroutine), "generators are no tasks since Python 3.11"
        self._number = number = self._number + 1
        title = f"task-{number}" if name is None else str(name)
        return NumberedTask(coro, number, self, name=title, context=context, **options)

    def tasks(self) -> list[NumberedTask[Any]]:
        """All tasks that have not ended, in the order they were made."""
        tasks = [task for task in asyncio.all_tasks(self) if isinstance(task, NumberedTask)]
        return sorted(tasks, key=hash)

    # What asyncio asks of any loop

    def run_in_executor(
        self, executor: object, func: Callable[[*Ts], T], *args: *Ts
    ) -> "asyncio.Future[T]":
        """Run `func` on this thread, as the next step; `executor` is not used."""
        del executor
        future: NumberedFuture[T] = self.create_future()
        self.call_soon(_run_inline, future, func, args)
        return future

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Keep what went wrong outside any caller's sight; it fails the run."""
        error: BaseException | None = context.get("exception")
        self._first_error = self._first_error or error
        place = extract_tb(error.__traceback__)[-1:] if error is not None else []
        where = "".join(f" at {frame.filename}:{frame.lineno}" for frame in place)
        if len(self.defects) < DEFECTS_LIMIT:
            self.defects.append(f"{context.get('message')}: {error!r}{where}")

    def raise_defects(self) -> None:
        """Raise `SimulationError` if anything went wrong outside any caller's sight."""
        if self.defects:
            defects = "\n  ".join(self.defects)
            raise SimulationError(f"defects in callbacks and tasks:\n  {defects}") from (
                self._first_error
            )

    async def shutdown_asyncgens(self) -> None:
        """Close the async generators that are still open, in the order they were begun."""
        for number in sorted(self._generators):
            generator = self._generators.get(number)
            if generator is not None:
                await generator.aclose()

    def _asyncgen_firstiter_hook(self, agen: AsyncGenerator[Any, Any]) -> None:
        self._number = number = self._number + 1
        self._generators[number] = agen

    def wind_up(self) -> None:
        """Cancel what still runs, in the order it was made, and let it end."""
        self._steps_limit = self.steps + self._steps_per_instant_limit
        for _ in range(_WIND_UP_ROUNDS):
            tasks = self.tasks()
            if not tasks:
                break
            for task in tasks:
                task.cancel()
            self.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
            for task in tasks:
                if not task.cancelled() and (error := task.exception()) is not None:
                    message = f"{task.get_name()} failed when it was cancelled"
                    self.call_exception_handler({"message": message, "exception": error})
        self.run_until_complete(self.shutdown_asyncgens())

    # The world outside

    add_reader = _fenced("a file descriptor (add_reader)")
    add_writer = _fenced("a file descriptor (add_writer)")
    add_signal_handler = _fenced("a signal (add_signal_handler)")
    connect_read_pipe = _fenced("a pipe (connect_read_pipe)")
    connect_write_pipe = _fenced("a pipe (connect_write_pipe)")
    create_connection = _fenced("a socket (create_connection)")
    create_datagram_endpoint = _fenced("a socket (create_datagram_endpoint)")
    create_server = _fenced("a socket (create_server)")
    create_unix_connection = _fenced("a socket (create_unix_connection)")
    create_unix_server = _fenced("a socket (create_unix_server)")
    getaddrinfo = _fenced("DNS (getaddrinfo)")
    getnameinfo = _fenced("DNS (getnameinfo)")
    sock_connect = _fenced("a socket (sock_connect)")
    subprocess_exec = _fenced("a process (subprocess_exec)")
    subprocess_shell = _fenced("a process (subprocess_shell)")


def run(
    main: Callable[[VirtualLoop], Coroutine[Any, Any, T]],
    *,
    seed: int = 0,
    scheduling: Scheduling = "fifo",
    start_at: float = 0.0,
    steps_limit: int = STEPS_LIMIT,
    steps_per_instant_limit: int = STEPS_PER_INSTANT_LIMIT,
) -> T:
    """Play `main` to its end in virtual time, behind the fence, and return what it returns.

    What it leaves running is cancelled in the order it was made, open async generators are
    closed, and the fence comes down, whatever happens. Arguments are those of `VirtualLoop`.

    Raises:
        DeadlockError: Nothing can go on; the message names every task that waits.
        SimulationError: A limit of steps was reached, or a callback or a task that nobody
            awaited failed.
        FenceError: Something reached for the real world.
    """
    loop = VirtualLoop(
        seed=seed,
        scheduling=scheduling,
        start_at=start_at,
        steps_limit=steps_limit,
        steps_per_instant_limit=steps_per_instant_limit,
    )
    return run_on(loop, main)


def run_on(loop: VirtualLoop, main: Callable[[VirtualLoop], Coroutine[Any, Any, T]]) -> T:
    """Play `main` as `run` does, on a loop that was made before; closes it."""
    collects = gc.isenabled()
    gc.disable()  # the loop collects at counted steps, so that finalizers run alike
    try:
        with fence():
            try:
                result = loop.run_until_complete(main(loop))
            finally:
                loop.wind_up()
    finally:
        loop.close()
        if collects:
            gc.enable()
    loop.raise_defects()
    return result


def wake(future: "asyncio.Future[None]") -> None:
    """Let go on who waits for `future`, if anybody still does."""
    if not future.done():
        future.set_result(None)


async def yield_once() -> None:
    """Let everything that is ready have a turn."""
    await asyncio.sleep(0)  # noqa: TID251 - waits for no time: the one bare yield that asyncio has


def _run_inline(
    future: NumberedFuture[T], work: Callable[..., T], arguments: tuple[Any, ...]
) -> None:
    if future.cancelled():
        return
    try:
        future.set_result(work(*arguments))
    except Exception as error:  # noqa: BLE001 - the caller's, handed to it
        future.set_exception(error)


def _nothing() -> None:
    """What a cancelled entry calls."""

"""Ctrl+C that is never lost, and an orderly end for a process that is told to go.

It knows the signals, and nothing of what is interrupted.
"""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic
from types import FrameType

INTERRUPTED = 130  # the exit code that shells give a program ended by Ctrl+C
TWICE_SECONDS = 0.5
# Sent by `kill` and by a system that shuts down; by a terminal that goes away.
ENDING = (signal.SIGTERM, signal.SIGHUP)


def nothing() -> None:
    """Nobody waits for a key."""


@dataclass
class Presses:
    """How often Ctrl+C was pressed at once, and the exit code with which the process is to leave,
    where that or a signal says so. `pending`: a press was noted that has ended nothing yet. `wake`
    makes a reader of keys return that waits for one."""

    count: int = 0
    pending: bool = False
    exit_code: int | None = None
    wake: Callable[[], None] = nothing
    _last: float = 0.0

    def note(self) -> None:
        """It was pressed; twice at once: leave."""
        now = monotonic()
        again = self.count > 0 and now - self._last < TWICE_SECONDS
        self.count = self.count + 1 if again else 1
        self._last = now
        if self.count == 2 and self.exit_code is None:
            self.exit_code = INTERRUPTED

    def forget(self) -> None:
        """Something else was done since: the next press is a first one."""
        self.count = 0


presses = Presses()  # of the process, as signals are


class Interruption:
    """Whether Ctrl+C was pressed. The exception it raises can be lost on its way, where native
    code calls back into Python."""

    pressed = False
    deferred = False

    def check(self) -> None:
        """Raise what was lost."""
        if self.pressed:
            raise KeyboardInterrupt

    @contextmanager
    def after(self) -> Iterator[None]:
        """It is raised at the end of this block: what is half printed would be printed twice."""
        self.deferred = True
        try:
            yield
        finally:
            self.deferred = False
        self.check()


@contextmanager
def interruptible() -> Iterator[Interruption]:
    """Ctrl+C ends the block with KeyboardInterrupt, by its end at the latest; also where the
    exception was lost, or came out as an ImportError. A second press is left to whoever handled
    Ctrl+C before: what the first one ends may tidy up."""
    interruption = Interruption()
    before = signal.getsignal(signal.SIGINT)

    def interrupt(signum: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, before)
        interruption.pressed = True
        presses.note()
        if not interruption.deferred:
            raise KeyboardInterrupt

    try:
        signal.signal(signal.SIGINT, interrupt)
        if presses.pending:
            presses.pending, interruption.pressed = False, True
            raise KeyboardInterrupt
        yield interruption
    except Exception:
        if not interruption.pressed:
            raise
    finally:
        signal.signal(signal.SIGINT, before)
    interruption.check()


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Ctrl+C is only noted, but in `interruptible` blocks within, of which it ends the next one:
    what lies between them keeps what was said, or changes the terminal's mode. A third press in a
    row ends it all the same."""
    before = signal.getsignal(signal.SIGINT)

    def note(signum: int, frame: FrameType | None) -> None:
        presses.note()
        presses.pending = True
        presses.wake()
        if presses.count > 2:
            raise KeyboardInterrupt

    try:
        signal.signal(signal.SIGINT, note)
        yield
    finally:
        presses.pending = False
        signal.signal(signal.SIGINT, before)


@contextmanager
def ending_in_order() -> Iterator[None]:
    """A signal that ends the process does what Ctrl+C would do at that moment, after which the
    process is to leave: terminals are restored, and what was said is kept. Ctrl+C itself ends it
    also where a script has put it in the background, for which shells have it ignored."""

    def end(signum: int, frame: FrameType | None) -> None:
        presses.exit_code = 128 + signum
        presses.wake()
        interrupt = signal.getsignal(signal.SIGINT)
        if callable(interrupt):
            interrupt(signal.SIGINT, frame)

    presses.exit_code = None
    presses.forget()
    ours = [number for number in ENDING if signal.getsignal(number) == signal.SIG_DFL]
    deaf = signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    try:
        if deaf:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        for number in ours:  # not those that nohup had ignored
            signal.signal(number, end)
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)
        if deaf:
            signal.signal(signal.SIGINT, signal.SIG_IGN)


def exit_code() -> int:
    """Of a command that was interrupted."""
    return INTERRUPTED if presses.exit_code is None else presses.exit_code

"""Ctrl+C that is never lost. It knows the signal, and nothing of what is interrupted."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

INTERRUPTED = 130  # the exit code that shells give a program ended by Ctrl+C


class Interruption:
    """Whether Ctrl+C was pressed. The exception it raises can be lost on its way, where native
    code calls back into Python."""

    pressed = False

    def check(self) -> None:
        """Raise what was lost."""
        if self.pressed:
            raise KeyboardInterrupt


@contextmanager
def interruptible() -> Iterator[Interruption]:
    """Ctrl+C ends the block with KeyboardInterrupt, by its end at the latest; also where the
    exception was lost, or came out as an ImportError."""
    interruption = Interruption()

    def interrupt(signum: int, frame: FrameType | None) -> None:
        interruption.pressed = True
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield interruption
    except Exception:
        if not interruption.pressed:
            raise
    finally:
        signal.signal(signal.SIGINT, before)
    interruption.check()

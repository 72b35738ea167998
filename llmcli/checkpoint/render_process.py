"""Starts, asks and, when it takes too long, ends the process that renders a chat template.

It knows nothing of what a template's variables mean.
"""

import json
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Mapping
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

SECONDS = 10.0  # real templates take milliseconds
_START = (
    "import runpy, sys; sys.path += sys.argv[2:]; runpy.run_path(sys.argv[1], None, '__main__')"
)
_PROGRAM = Path(__file__).with_name("render.py")


class RenderProcess:
    """One template's process: started at once, kept for the next turn, replaced when it died.

    `loaded` says how it took the template: `{"text"}`, all that the template writes by itself,
    or `{"error", "message"}`.
    """

    def __init__(self, source: str, *, seconds: float = SECONDS) -> None:
        """`seconds`: how long one rendering may take."""
        self._source, self._seconds = source, seconds
        self.loaded = self._start()

    def render(self, variables: Mapping[str, Any], now: datetime) -> Mapping[str, str]:
        """`{"text"}`, or `{"error": "raised" | "syntax" | "failed" | "limit", "message"}`."""
        if self._process.poll() is not None:
            self.loaded = self._start()
        request = {"variables": variables, "now": now.isoformat()}
        return _ask(self._process, self._end, request, self._seconds)

    def close(self) -> None:
        """End the process, now."""
        self._end()

    def _start(self) -> Mapping[str, str]:
        # -I: nothing of the environment or the working folder counts; jinja2 comes from where this
        # process has it. A session of its own: Ctrl+C is for the command, not for this process.
        paths = {
            Path(str(spec.origin)).parents[1]
            for name in ("jinja2", "markupsafe")
            if (spec := find_spec(name))
        }
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _START, _PROGRAM, *map(str, paths)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        end = weakref.finalize(self, _end, process)
        loaded = _ask(process, end, {"template": self._source}, SECONDS)
        # Not before: one that Ctrl+C kept from its template would take the next request for it.
        self._process, self._end = process, end
        return loaded


def _ask(
    process: "subprocess.Popen[bytes]",
    end: Callable[[], object],
    request: Mapping[str, Any],
    seconds: float,
) -> Mapping[str, str]:
    """The reply. A process that gives none is ended."""
    too_long = threading.Event()
    assert process.stdin is not None and process.stdout is not None

    def stop() -> None:
        too_long.set()
        process.kill()

    timer = threading.Timer(seconds, stop)
    timer.daemon = True
    timer.start()
    try:
        process.stdin.write(json.dumps(request).encode() + b"\n")
        process.stdin.flush()
        line = process.stdout.readline()
    except BrokenPipeError:
        line = b""
    except BaseException:  # Ctrl+C: the answer that is still to come would be the next one's
        end()
        raise
    finally:
        timer.cancel()
    if line.endswith(b"\n"):
        reply: dict[str, str] = json.loads(line)
        return reply
    end()
    why = f"it ran for {seconds:g} seconds" if too_long.is_set() else "it broke down"
    return {"error": "limit", "message": why}


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            try:
                pipe.close()
            except OSError:
                continue
    process.wait()

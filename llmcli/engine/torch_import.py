"""The import of torch, which takes seconds, in a thread beside whatever comes before its first use.

It knows how to begin it and how to wait for it, and nothing of what torch is used for.
"""

import gc
import sys
from importlib.util import find_spec
from pathlib import Path
from threading import Event, Thread

from llmcli.errors import LlmcliError


class _TorchImport(Thread):
    """First the libraries, then, once `wanted`, the import."""

    def __init__(self) -> None:
        super().__init__(name="import torch", daemon=True)
        self.failure: BaseException | None = None
        self.wanted, self.done = Event(), Event()

    def run(self) -> None:
        try:
            _load_libraries()
            self.wanted.wait()
            # The import makes a million objects that all stay: the collector would look at them
            # again and again, a tenth of the time, and once more after that if they were not
            # frozen.
            gc.disable()
            import_torch()
            gc.freeze()
        except BaseException as error:  # noqa: BLE001 (it is raised by `wait`)
            self.failure = error
        finally:
            gc.enable()
            self.done.set()


_started: _TorchImport | None = None


def prepare() -> None:
    """Have torch's libraries loaded, for a command that will most likely import torch: until its
    options and its model are known to be right, nothing is imported."""
    _thread()


def begin() -> None:
    """Start the import, once for the whole process. While it runs, the interpreter cannot be torn
    down: the thread would be stopped inside C++. A process can end all the same, by `os._exit`."""
    _thread().wanted.set()


def _thread() -> _TorchImport:
    global _started
    if _started is None:
        # The system loads one library at a time, and while Python waits for one of its own no
        # thread runs: those that the command will need by then come first.
        import ctypes  # noqa: F401
        import tempfile  # noqa: F401

        import llmcli.engine.timings  # noqa: F401
        from llmcli.checkpoint.tokenizer import warm_up

        warm_up()
        _started = _TorchImport()
        _started.start()
    return _started


def wait() -> None:
    """Until torch can be used; Ctrl+C ends the wait at once. Raises LlmcliError where torch cannot
    be imported."""
    begin()
    thread = _thread()
    thread.done.wait()
    if (failure := thread.failure) is not None:
        reason = (str(failure).splitlines() or [""])[0] or type(failure).__name__
        raise LlmcliError(
            f"torch cannot be imported: {reason}",
            hint="it may have to be installed anew; --debug shows where it fails",
        ) from failure


def import_torch() -> None:
    """Do it, here and now."""
    import torch  # noqa: F401 (it is there from now on)


def _load_libraries() -> None:
    """Have the system load torch's large libraries in the order of torch itself, which then finds
    them there. Loaded by an import, they would stop all Python threads for a third of a second;
    called through ctypes, `dlopen` stops none. What fails here is for the import to say."""
    spec = find_spec("torch")
    if sys.platform != "linux" or spec is None or spec.origin is None:
        return
    import ctypes
    import os

    dlopen = ctypes.CDLL(None).dlopen
    dlopen.argtypes, dlopen.restype = (ctypes.c_char_p, ctypes.c_int), ctypes.c_void_p
    for name, flags in (("libtorch_global_deps.so", os.RTLD_GLOBAL), ("libtorch.so", 0)):
        dlopen(os.fsencode(Path(spec.origin).parent / "lib" / name), os.RTLD_NOW | flags)

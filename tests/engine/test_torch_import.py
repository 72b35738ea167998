"""torch imported beside other work: begun once, waited for, its failures told."""

import subprocess
import sys
from threading import Event

import pytest

from llmcli.engine import torch_import
from llmcli.errors import LlmcliError


@pytest.fixture
def fresh(monkeypatch):
    monkeypatch.setattr(torch_import, "_started", None)


def test_it_runs_beside_the_caller_and_once(fresh, monkeypatch):
    release, runs = Event(), []

    def held_back():
        runs.append(1)
        release.wait()

    monkeypatch.setattr(torch_import, "import_torch", held_back)
    torch_import.begin()
    torch_import.begin()
    release.set()
    torch_import.wait()
    assert runs == [1]


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (ImportError("no torch here\nand more"), "torch cannot be imported: no torch here"),
        (OSError("libtorch.so: too short"), "torch cannot be imported: libtorch.so: too short"),
        (MemoryError(), "torch cannot be imported: MemoryError"),
        (SystemExit(3), "torch cannot be imported: 3"),
    ],
)
def test_a_failure_is_raised_where_torch_is_needed(fresh, monkeypatch, failure, said):
    def fail():
        raise failure

    monkeypatch.setattr(torch_import, "import_torch", fail)
    for _ in range(2):
        with pytest.raises(LlmcliError) as raised:
            torch_import.wait()
        assert str(raised.value) == said
        assert raised.value.__cause__ is failure


def run_fresh(program: str) -> list[str]:
    """What `program` prints in a process of its own, where torch was not imported before."""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stderr == ""
    return done.stdout.split()


def test_the_collector_rests_meanwhile_and_forgets_what_torch_made() -> None:
    program = (
        "import gc, sys\n"
        "from llmcli.engine import torch_import\n"
        "real = torch_import.import_torch\n"
        "torch_import.import_torch = lambda: (print(gc.isenabled()), real())\n"
        "torch_import.wait()\n"
        "print('torch' in sys.modules, gc.isenabled(), gc.get_freeze_count() > 100_000)\n"
    )
    assert run_fresh(program) == ["False", "True", "True", "True"]


@pytest.mark.skipif(sys.platform != "linux", reason="done on Linux only")
def test_the_libraries_are_there_before_anybody_asks_for_the_import() -> None:
    program = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from llmcli.engine import torch_import\n"
        "loaded = lambda: 'libtorch_cpu.so' in Path('/proc/self/maps').read_text()\n"
        "print(loaded())\n"
        "torch_import.prepare()\n"
        "while not loaded(): time.sleep(0.01)\n"
        "time.sleep(0.1)\n"
        "print('torch' in sys.modules)\n"
        "torch_import.wait()\n"
        "import torch\n"
        "print(int(torch.ones(2).sum()))\n"
    )
    assert run_fresh(program) == ["False", "False", "2"]

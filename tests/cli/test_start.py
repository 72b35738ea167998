"""How a command starts and ends around the import of torch, each in a process of its own.

`torch` is here what a test puts in its place.
"""

import os
import subprocess
import sys

import pytest
from tiny_models import write_json, write_tiny_llama

HANGS = "import threading; threading.Event().wait()"
FAILS = "raise ImportError('libfoo.so: cannot open shared object file\\nand more')"
# Presses Ctrl+C as soon as the command has nothing left to do but wait for the import.
INTERRUPTS = """
import os, signal, sys, threading, time
def names():
    frame = sys._current_frames()[threading.main_thread().ident]
    while frame is not None:
        yield os.path.basename(frame.f_code.co_filename), frame.f_code.co_name
        frame = frame.f_back
while ("torch_import.py", "wait") not in list(names()):
    time.sleep(0.01)
os.kill(os.getpid(), signal.SIGINT)
threading.Event().wait()
"""

# Prints the native modules that Python itself loads while torch's libraries are.
LOADED = """
import os, sys
from llmcli.cli import app
from llmcli.engine import torch_import
def native():
    files = {name: getattr(module, "__file__", None) for name, module in sys.modules.items()}
    return {name for name, file in files.items() if (file or "").endswith(".so")}
before = set()
def told():
    print(*sorted(native() - before), flush=True)
    os._exit(0)
torch_import._load_libraries = lambda: before.update(native())
torch_import.import_torch = lambda: None
torch_import.wait = told
app.main(sys.argv[1:])
"""


@pytest.fixture
def llmcli(tmp_path):
    def call(torch, *arguments):
        (tmp_path / "torch.py").write_text(torch)
        return subprocess.run(
            [sys.executable, "-m", "llmcli", *arguments],
            env={**os.environ, "PYTHONPATH": str(tmp_path)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,  # so that a failing test ends
        )

    return call


@pytest.fixture
def folder(tmp_path):
    return write_tiny_llama(tmp_path / "model")


COMMANDS = [("generate", "-p", "Hello"), ("chat", "-p", "Hello"), ("bench",)]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_errors_do_not_wait_for_the_import(llmcli, folder, command):
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    done = llmcli(HANGS, command[0], str(folder), *command[1:])
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr.startswith(f"error: {file}")
    assert "Traceback" not in done.stderr


def test_errors_after_the_tokenizer_and_the_template_do_not_either(llmcli, folder):
    write_json(folder / "generation_config.json", {"temperature": "hot"})
    done = llmcli(HANGS, "generate", str(folder), "-p", "Hello")
    assert done.returncode == 4
    assert "generation_config.json" in done.stderr


def test_a_traceback_that_was_asked_for_does_not_either(llmcli, folder):
    (folder / "config.json").unlink()
    done = llmcli(HANGS, "generate", str(folder), "-p", "Hello", "--debug")
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback")
    assert done.stderr.splitlines()[-1].startswith("llmcli.errors.InvalidModelError: ")


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_ctrl_c_while_torch_is_imported_ends_with_130(llmcli, folder, command):
    done = llmcli(INTERRUPTS, command[0], str(folder), *command[1:])
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_a_torch_that_cannot_be_imported_is_one_line(llmcli, folder):
    done = llmcli(FAILS, "generate", str(folder), "-p", "Hello")
    assert (done.returncode, done.stdout) == (1, "")
    said, hint = done.stderr.splitlines()
    assert said == "error: torch cannot be imported: libfoo.so: cannot open shared object file"
    assert hint.startswith("hint: ")
    shown = llmcli(FAILS, "generate", str(folder), "-p", "Hello", "--debug")
    assert shown.returncode == 1
    assert "ImportError: libfoo.so" in shown.stderr


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--help"], 0),
        (["generate", "--help"], 0),
        (["generate", "MODEL", "-p", "Hello", "--top-k", "many"], 2),
        (["generate", "no/such/folder", "-p", "Hello"], 3),
        (["inspect", "MODEL"], 0),
        (["tokenize", "MODEL", "Hello"], 0),
    ],
)
def test_what_needs_no_torch_does_not_begin_the_import(llmcli, folder, arguments, code):
    torch = "import os; os.write(2, b'torch was imported'); os._exit(77)"
    done = llmcli(torch, *[str(folder) if word == "MODEL" else word for word in arguments])
    assert done.returncode == code
    assert "torch was imported" not in done.stderr


@pytest.mark.parametrize("command", COMMANDS[:2], ids=lambda command: command[0])
def test_no_native_module_has_to_wait_for_the_libraries_of_torch(folder, command):
    arguments = [command[0], str(folder), *command[1:]]
    done = subprocess.run(
        [sys.executable, "-c", LOADED, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert (done.stdout, done.stderr) == ("\n", "")


def test_the_interpreter_is_not_torn_down_under_torch(llmcli, folder):
    torch = (
        "import atexit, os\n"
        "atexit.register(os.write, 2, b'torn down')\n"
        "raise ImportError('imported')"
    )
    done = llmcli(torch, "generate", str(folder), "-p", "Hello")
    assert "imported" in done.stderr and "torn down" not in done.stderr


def test_an_error_amid_the_real_import_makes_no_noise(folder):
    (folder / "config.json").write_text("{")
    done = subprocess.run(
        [sys.executable, "-m", "llmcli", "generate", str(folder), "-p", "Hello"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (4, "")
    assert all(line.startswith(("error: ", "hint: ")) for line in done.stderr.splitlines())

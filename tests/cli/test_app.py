"""The program as a process: what it says without being asked, and how it starts."""

import subprocess
import sys

WITHOUT_NUMPY = """
import sys
sys.modules["numpy"] = None
from llmcli.cli.app import run
sys.exit(run(["chat", "demo", "-p", "What is a token?", "-n", "3"]))
"""


def test_an_answer_comes_without_a_word_on_stderr_where_numpy_is_not_installed() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT_NUMPY], capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stdout.strip()
    assert done.stderr == ""

"""Shared by the tests of commands: what is piped into a command that runs in this process."""

import sys

import pytest


@pytest.fixture
def stdin(monkeypatch, tmp_path):
    """Call it with bytes to pipe them in; until then nothing is."""
    opened = []

    def pipe(data: bytes):
        (tmp_path / "stdin").write_bytes(data)
        opened.append((tmp_path / "stdin").open())
        monkeypatch.setattr(sys, "stdin", opened[-1])

    pipe(b"")
    yield pipe
    for file in opened:
        file.close()

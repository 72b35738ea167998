"""Notices and errors: whole in a pipe, broken between words on a terminal."""

import fcntl
import io
import os
import pty
import struct
import termios

from llmcli.cli.output import Output

TEXT = "a well-known notice of several words that a narrow terminal cannot hold"


def on_a_terminal(columns: int) -> str:
    main, line = pty.openpty()
    fcntl.ioctl(line, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with os.fdopen(line, "w") as stderr:
        Output(stderr=stderr).notice(TEXT)
        Output(stderr=stderr).error("no such file", hint="/read FILE\n     ^")
        shown = b""
        while not shown.endswith(b"^\r\n"):  # it comes in parts
            shown += os.read(main, 4096)
    os.close(main)
    return shown.decode()


def test_a_terminal_gets_lines_that_end_between_words() -> None:
    lines = on_a_terminal(30).split("\r\n")
    assert max(map(len, lines)) <= 30
    assert "\n".join(lines).replace("\n", " ").startswith(TEXT)
    assert lines[-4:] == ["error: no such file", "hint: /read FILE", "     ^", ""]


def test_a_pipe_and_a_terminal_without_a_size_get_it_as_it_is() -> None:
    output = Output(stderr=io.StringIO())
    output.notice(TEXT)
    assert isinstance(output.stderr, io.StringIO)
    assert output.stderr.getvalue() == f"{TEXT}\n"
    assert on_a_terminal(0).startswith(f"{TEXT}\r\n")

"""A program on a pseudo-terminal of its own, as a person at the keys sees it."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time

# Ctrl+C reaches the program only if the terminal is its controlling one.
LAUNCH = (
    "import fcntl, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    "from llmcli.cli.app import main; main(sys.argv[1:])"
)
DEADLINE_SECONDS = 60.0
ENTER, NEW_LINE, CTRL_C, CTRL_D = "\r", "\n", "\x03", "\x04"
PASTE, PASTE_END = "\x1b[200~", "\x1b[201~"
PROMPT = r"\x1b\[\?2004h[^>]*>"  # it begins by asking for marks around what is pasted


class Terminal:
    """A program on a terminal of its own; what it shows is read up to what a test waits for."""

    def __init__(self, arguments, **environment):
        fixed = {"TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1"}
        self.begin(LAUNCH, arguments, {**os.environ, **fixed, **environment})

    def begin(self, code, arguments, environment, *, lines=24, columns=200):
        """Run this Python code on a screen of that size."""
        self.screen, self.line = pty.openpty()
        fcntl.ioctl(self.line, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.settings = termios.tcgetattr(self.line)
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, *arguments],
            stdin=self.line,
            stdout=self.line,
            stderr=self.line,
            env=environment,
            start_new_session=True,
        )
        self.unread = ""

    def press(self, keys):
        os.write(self.screen, keys.encode())

    def read(self):
        """What has come from the program."""
        return os.read(self.screen, 4096).decode(errors="replace")

    def wait_for(self, pattern):
        """The match, and everything before it is done with."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not (match := re.search(pattern, self.unread)):
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.screen], [], [], left)[0]:
                raise AssertionError(f"no {pattern!r} in {self.unread!r}")
            self.unread += self.read()
        self.unread = self.unread[match.end() :]
        return match

    def enter(self, text, pattern=""):
        """Type `text` and Enter; the match of what is shown, the next prompt having come."""
        self.press(text + ENTER)
        match = self.wait_for(pattern)
        self.wait_for(PROMPT)
        return match

    def leave(self, keys=CTRL_D):
        """Press these keys; returns the exit code, the terminal being as it was before."""
        self.press(keys)
        deadline = time.monotonic() + DEADLINE_SECONDS
        while self.process.poll() is None and time.monotonic() < deadline:
            if select.select([self.screen], [], [], 0.01)[0]:  # what nobody reads holds it up
                os.read(self.screen, 4096)
        code = self.process.wait(0)
        assert termios.tcgetattr(self.line) == self.settings
        return code

    def close(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        os.close(self.line)
        os.close(self.screen)

"""A shell on a pseudo-terminal, and what its screen of 80 columns shows, emulated by pyte."""

import codecs
import os
import select

import pyte
from terminal import DEADLINE_SECONDS, PROMPT, Terminal

LINES, COLUMNS = 30, 80
SHELL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    "os.chdir(sys.argv[1]); os.execvp('bash', 'bash --norc --noprofile --noediting -i'.split())"
)
# A title for the window tells the shell's prompt from a dollar that a program prints.
PS1 = r"\e]0;\a$ "
ANY_PROMPT = rf"{PROMPT}|\x1b\]0;\x07\$ "
PROMPTS = (">", "$")


class Screen(pyte.Screen):
    """One that remembers what has scrolled away, and answers where its cursor is."""

    def __init__(self, answer):
        self.gone = []
        super().__init__(COLUMNS, LINES)
        self.write_process_input = answer

    def index(self):
        if self.cursor.y == self.lines - 1:
            self.gone.append(self.cells(0))
        super().index()

    def cells(self, y):
        return [self.buffer[y][x] for x in range(self.columns)]

    @property
    def row(self):
        """The cursor's, counted from the first that there ever was."""
        return len(self.gone) + self.cursor.y

    def rows(self, start, stop=None):
        """The cells of these rows."""
        return [*self.gone, *map(self.cells, range(self.lines))][start:stop]

    def text(self, start, stop=None):
        """What stands in these rows, without what is blank at the end."""
        rows = ("".join(cell.data for cell in row) for row in self.rows(start, stop))
        return "\n".join(row.rstrip() for row in rows).rstrip("\n")


class Shell(Terminal):
    """Bash. `row` is that of the last prompt, its own or a chat's."""

    def __init__(self, environment, folder):
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.shown = Screen(self.press)
        self._stream = pyte.Stream(self.shown)
        self.raw = ""
        self.begin(
            SHELL,
            [str(folder)],
            {**environment, "TERM": "xterm-256color", "PS1": PS1},
            lines=LINES,
            columns=COLUMNS,
        )
        self.row = 0
        self.at_prompt()

    def read(self):
        text = self._decoder.decode(os.read(self.screen, 65536))
        self.raw += text
        self._stream.feed(text)
        return text

    def until(self, condition, *, quiet=DEADLINE_SECONDS):
        """Whether it has come true; False where nothing has come for `quiet` seconds."""
        while not condition():
            if not select.select([self.screen], [], [], quiet)[0]:
                return False
            self.unread += self.read()
        return True

    def at_prompt(self):
        """Wait for a prompt that was not there before."""
        self.wait_for(ANY_PROMPT)
        assert self.until(lambda: self.shown.text(self.shown.row).startswith(PROMPTS))
        self.row = self.shown.row

    def forget(self):
        """All that has come so far: a prompt among it is none to wait for."""
        while select.select([self.screen], [], [], 0)[0]:
            self.read()
        self.unread = ""

    def type(self, text):
        """Type `text` as a person does: it is on the screen before the next key is pressed."""
        self.press(text)
        last = text.strip().split("\n")[-1][-8:]

        def is_there():
            before = self.shown.text(self.row, self.shown.row + 1)
            return last in before.replace("\n", "")

        assert self.until(is_there), f"{text!r} is not shown: {self.shown.text(self.row)}"

"""What comes from the terminal while a message is typed, with Enter told from Ctrl+J.

It knows key presses, and nothing of what they do.
"""

from prompt_toolkit.input.vt100 import Vt100Input
from prompt_toolkit.key_binding import KeyPress
from prompt_toolkit.keys import Keys


class Keyboard(Vt100Input):
    """A terminal makes a line feed, which Ctrl+J is too, of an Enter typed ahead during an answer;
    programs that write to a terminal end lines with one. Those lines come in one piece, text and
    end, as keys pressed at the prompt never do."""

    def read_keys(self) -> list[KeyPress]:
        presses = super().read_keys()
        if len(presses) < 2 or presses[-1].key != Keys.ControlJ:
            return presses
        return [
            KeyPress(Keys.ControlM, "\r") if press.key == Keys.ControlJ else press
            for press in presses
        ]

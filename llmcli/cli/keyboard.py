"""What comes from the terminal while a message is typed, with Enter told from Ctrl+J.

It knows key presses, and nothing of what they do.
"""

from contextlib import AbstractContextManager

from prompt_toolkit.input.typeahead import get_typeahead, store_typeahead
from prompt_toolkit.input.vt100 import Vt100Input
from prompt_toolkit.key_binding import KeyPress
from prompt_toolkit.keys import Keys


class Keyboard(Vt100Input):
    """A terminal makes a line feed, which Ctrl+J is too, of an Enter typed ahead while a model
    loads or answers; programs that write to a terminal end lines with one. What was typed ahead
    is there at the first look; a program's lines come in one piece, text and end, as keys pressed
    at the prompt never do."""

    _first_look = False

    def raw_mode(self) -> AbstractContextManager[None]:
        self._first_look = True
        return super().raw_mode()

    def read_keys(self) -> list[KeyPress]:
        presses, first, self._first_look = super().read_keys(), self._first_look, False
        if len(presses) < 2 or not (first or presses[-1].key == Keys.ControlJ):
            return presses
        return [
            KeyPress(Keys.ControlM, "\r") if press.key == Keys.ControlJ else press
            for press in presses
        ]

    def interrupted(self) -> bool:
        """Whether Ctrl+C was pressed right behind an Enter, before the terminal would have made a
        signal of it. What was typed behind it waits for the next prompt."""
        presses = get_typeahead(self) + self.read_keys()
        places = [place for place, press in enumerate(presses) if press.key == Keys.ControlC]
        store_typeahead(self, presses[places[-1] + 1 :] if places else presses)
        return bool(places)

"""Thinking told from the answer, in text as it comes: `<think>...</think>` and its kin.

It knows the marks that models put around their thinking, and nothing of how text is generated.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from llmcli.checkpoint.template import ChatTemplate
from llmcli.checkpoint.tokenizer import Tokenizer


@dataclass(frozen=True)
class Marks:
    """`begin` opens a thought, and any of `ends` closes it."""

    begin: str
    ends: tuple[str, ...]


TAGS = (
    Marks("<think>", ("</think>",)),  # Qwen, DeepSeek R1, SmolLM3, Granite 3.3
    Marks("<thinking>", ("</thinking>",)),
    Marks("<thought>", ("</thought>",)),
    Marks("<seed:think>", ("</seed:think>",)),
    Marks("<|thinking|>", ("<|/thinking|>", "</|thinking|>")),
    Marks("<|START_THINKING|>", ("<|END_THINKING|>",)),
    Marks("<|begin_of_thought|>", ("<|end_of_thought|>",)),
    Marks("[THINK]", ("[/THINK]",)),  # Magistral
)
# Granite 3.2 thinks under headings in plain English, which other models may write without thinking.
HEADINGS = tuple(
    Marks(f"{here} my thought process:", ("Here is my response:", "Here's my response:"))
    for here in ("Here is", "Here's")
)
# What may stand around the answer that follows a thought, and is no part of it.
WRAPPERS = {
    "<response>": "</response>",  # Granite 3.3
    "<|begin_of_solution|>": "<|end_of_solution|>",
}


def thinking_filter(
    template: ChatTemplate, tokenizer: Tokenizer, prompt_ids: Sequence[int]
) -> "ThinkingFilter":
    """The filter for what follows `prompt_ids`, whose end the template has written: it may have
    opened the thought already."""
    marks = TAGS + tuple(mark for mark in HEADINGS if mark.begin in template.literals)
    end = b"".join(map(tokenizer.token_bytes, prompt_ids[-16:])).decode("utf-8", "replace")
    begun = [mark for mark in TAGS if end.rstrip().endswith(mark.begin)]
    return ThinkingFilter(marks, begun=begun[0] if begun else None)


class ThinkingFilter:
    """Splits a text that may begin with one thought. What `push` returns, joined, and then `flush`
    is the thought and the answer, without marks and without the space around them.

    A text without a mark at its beginning is all answer, to the last space.
    """

    def __init__(self, marks: Sequence[Marks] = TAGS, *, begun: Marks | None = None) -> None:
        """`begun`: the text begins within a thought, whose opening mark may come once more."""
        self._marks = (begun,) if begun is not None else tuple(marks)
        self._begun = begun
        self._state = self._before
        self._held = self._thought = self._answer = ""
        self._blank = False  # whether white space is dropped until something else comes
        self._ends: tuple[str, ...] = ()
        self.thought_at_all = False

    @property
    def inside(self) -> bool:
        """Whether the text so far ends within a thought, or in what looks like its opening mark."""
        if self.undecided:
            return self._begun is not None or bool(self._held.strip())
        return self._state == self._thinking

    @property
    def undecided(self) -> bool:
        """Whether the text so far may yet turn out to be either."""
        return self._state == self._before

    def spelled(self) -> frozenset[str]:
        """All marks: a tokenizer may hold them as special tokens, which are no text elsewhere."""
        return frozenset(_spellings(self._marks))

    def push(self, text: str) -> tuple[str, str]:
        """What is now certain: of the thought, and of the answer."""
        self._held += text
        while self._state():  # each returns whether another one has to look at what is held
            pass
        return self._taken()

    def flush(self) -> tuple[str, str]:
        """The rest, once the text has ended."""
        if self.undecided and self._begun is not None:
            self._open(self._begun)
        rest, self._held = self._held, ""
        if self._state == self._thinking:
            self._thought += (rest.lstrip() if self._blank else rest).rstrip()
        elif self._state == self._after:
            self._answer += rest.lstrip()
        elif not any(end in rest for end in self._ends):
            self._answer += rest
        return self._taken()

    def _taken(self) -> tuple[str, str]:
        taken = self._thought, self._answer
        self._thought = self._answer = ""
        return taken

    def _before(self) -> bool:
        text = self._held.lstrip()
        for mark in self._marks:
            if text.startswith(mark.begin):
                self._held = text[len(mark.begin) :]
                self._open(mark)
                return True
        if any(mark.begin.startswith(text) for mark in self._marks):
            return False
        if self._begun is not None:
            self._open(self._begun)
        else:
            self._state = self._answering
        return True

    def _open(self, mark: Marks) -> None:
        self._ends, self._blank, self.thought_at_all = mark.ends, True, True
        self._state = self._thinking

    def _thinking(self) -> bool:
        self._drop_blank()
        found = [(place, end) for end in self._ends if (place := self._held.find(end)) >= 0]
        if not found:
            self._thought += self._release(len(self._held) - self._possible_end())
            return False
        place, end = min(found)
        self._thought += self._held[:place].rstrip()
        self._held = self._held[place + len(end) :]
        self._ends, self._state = (), self._after
        return True

    def _after(self) -> bool:
        text = self._held.lstrip()
        for begin, end in WRAPPERS.items():
            if text.startswith(begin):
                self._held, self._ends = text[len(begin) :], (end,)
                break
        else:
            if any(begin.startswith(text) for begin in WRAPPERS):
                return False
        self._blank, self._state = True, self._answering
        return True

    def _answering(self) -> bool:
        self._drop_blank()
        if not self._ends:
            self._answer, self._held = self._answer + self._held, ""
            return False
        # The end of a wrapper is one only where nothing follows.
        (end,), place = self._ends, -1
        while (place := self._held.find(end, place + 1)) >= 0:
            if not self._held[place + len(end) :].strip():
                break
        cut = place if place >= 0 else len(self._held) - self._possible_end()
        self._answer += self._release(cut)
        return False

    def _drop_blank(self) -> None:
        if self._blank:
            self._held = self._held.lstrip()
            self._blank = not self._held

    def _release(self, cut: int) -> str:
        """What is held up to `cut`, but for the white space there: it may have to be dropped."""
        released = self._held[:cut].rstrip()
        self._held = self._held[len(released) :]
        return released

    def _possible_end(self) -> int:
        """The length of the longest end of the held text that a closing mark begins with."""
        longest = max(map(len, self._ends))
        for length in range(min(longest - 1, len(self._held)), 0, -1):
            if any(end.startswith(self._held[-length:]) for end in self._ends):
                return length
        return 0


def _spellings(marks: Sequence[Marks]) -> Iterator[str]:
    for mark in marks:
        yield from (mark.begin, *mark.ends)
    for begin, end in WRAPPERS.items():
        yield from (begin, end)

"""Ctrl+C is never lost: not while something loads, and not in the middle of an answer."""

import contextlib
import io
import signal

import pytest

from llmcli.cli.interrupts import interruptible
from llmcli.cli.looks import Looks
from llmcli.cli.output import Output
from llmcli.cli.streaming import stream
from llmcli.engine.generate import Step


def test_ctrl_c_that_gets_lost_still_counts():
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), interruptible():
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_that_comes_out_as_another_error_still_counts():
    with pytest.raises(KeyboardInterrupt), interruptible():
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            raise ImportError("cannot load module more than once per process") from None


def test_other_errors_pass_and_without_any_nothing_happens():
    before = signal.getsignal(signal.SIGINT)
    with interruptible():
        pass
    with pytest.raises(ValueError, match="other"), interruptible():
        raise ValueError("other")
    assert signal.getsignal(signal.SIGINT) is before


class Endless:
    """A generation in whose third step Ctrl+C is pressed, and its exception lost."""

    interrupted = False
    constrained = None

    def __iter__(self):
        for index in range(1000):
            if index == 2:
                with contextlib.suppress(KeyboardInterrupt):
                    signal.raise_signal(signal.SIGINT)
            yield Step(token=1, text="x", logprob=0.0, index=index, finish=None)

    def interrupt(self) -> tuple[str, str]:
        self.interrupted = True
        return "", "!"


def test_an_answer_ends_at_its_next_token_where_ctrl_c_got_lost():
    generation, output = Endless(), Output(stdout=io.StringIO())
    stream(generation, output)
    assert generation.interrupted
    assert output.stdout.getvalue() == "xxx!\n"


class Talking:
    """A generation of four words."""

    constrained = None

    def __iter__(self):
        for index, text in enumerate(("one", " two", " three", " four")):
            yield Step(token=1, text=text, logprob=0.0, index=index, finish=None)

    def interrupt(self) -> tuple[str, str]:
        return "", ""


class PressedScreen(io.StringIO):
    """A terminal at which Ctrl+C is pressed as soon as “two” is on it."""

    def isatty(self):
        return True

    def write(self, text):
        count = super().write(text)
        if "two" in text and self.getvalue().count("two") == 1:
            signal.raise_signal(signal.SIGINT)
        return count


def test_a_word_is_printed_once_where_ctrl_c_comes_while_it_is():
    output = Output(stdout=PressedScreen())
    stream(Talking(), output, Looks(markdown=True))
    said = output.stdout.getvalue()
    assert said.split() == ["one", "two", *(["three"] if "three" in said else [])]

"""Loading can be ended with Ctrl+C even where a library swallows the exception."""

import contextlib
import signal

import pytest

from llmcli.cli.loading import interruptible


def test_ctrl_c_that_gets_lost_still_counts():
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), interruptible():
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before


def test_other_errors_pass_and_without_any_nothing_happens():
    before = signal.getsignal(signal.SIGINT)
    with interruptible():
        pass
    with pytest.raises(ValueError, match="other"), interruptible():
        raise ValueError("other")
    assert signal.getsignal(signal.SIGINT) is before

"""What a native library does over a bad file becomes one error, and it says nothing by itself."""

import os
from pathlib import Path

import pytest

from llmcli.checkpoint.native import native_call
from llmcli.errors import InvalidModelError

FILE = Path("x.json")


class PanicException(BaseException):
    """Named as the class that native panics have."""


@pytest.mark.parametrize("kind", [ValueError, PanicException])
def test_failures_name_the_file_in_one_line(kind):
    with pytest.raises(InvalidModelError) as caught, native_call(FILE, "bad"):
        raise kind("first\nsecond")
    assert str(caught.value) == "x.json: bad: first"


@pytest.mark.parametrize("error", [InvalidModelError("own"), KeyboardInterrupt(), SystemExit(3)])
def test_what_is_not_the_librarys_passes(error):
    with pytest.raises(type(error)) as caught, native_call(FILE, "bad"):
        raise error
    assert caught.value is error


def test_file_descriptor_2_is_closed_within_and_open_after(capfd):
    with native_call(FILE, "bad"):
        os.write(2, b"noise")
    os.write(2, b"words")
    assert capfd.readouterr().err == "words"

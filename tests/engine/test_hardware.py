"""Memory that runs out: the same failure, whoever noticed."""

import errno

import pytest
import torch

from llmcli.engine.hardware import memory_failures
from llmcli.errors import OutOfMemoryError


def too_much_on_the_cpu() -> None:
    torch.empty(2**50)


def too_much_on_a_gpu() -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


def too_much_for_python() -> None:
    raise MemoryError


def too_much_to_map() -> None:
    raise OSError(errno.ENOMEM, "Cannot allocate memory")


@pytest.mark.parametrize(
    "attempt", [too_much_on_the_cpu, too_much_on_a_gpu, too_much_for_python, too_much_to_map]
)
def test_memory_that_runs_out_is_one_failure(attempt) -> None:
    with pytest.raises(OutOfMemoryError, match=r"^memory ran out while trying$") as caught:
        memory_failures("trying")(attempt)()
    assert caught.value.exit_code == 5
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("error", [RuntimeError("shapes differ"), OSError(errno.ENOENT, "gone")])
def test_other_failures_stay_what_they_are(error: Exception) -> None:
    with pytest.raises(type(error)) as caught, memory_failures("trying"):
        raise error
    assert caught.value is error

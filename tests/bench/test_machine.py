"""What a report says of the machine."""

import platform
from dataclasses import replace

import torch
from tiny_models import LLAMA, random_decoder

from llmcli.bench import machine
from llmcli.core import kernels


def test_versions_device_and_dtype_are_those_in_use(model):
    found = machine.describe(model)
    assert (found.device, found.dtype, found.gpu_info) == ("cpu", "float32", None)
    assert found.quantization is None
    assert found.kernels == kernels.chosen()
    assert found.torch_version == torch.__version__
    assert found.python_version == platform.python_version()
    assert found.n_threads == torch.get_num_threads()
    assert found.n_cpus >= 1
    assert found.batch_size == 1
    assert found.cpu_info


def test_kernels_are_those_that_run(model):
    half = replace(model, decoder=random_decoder(LLAMA, seed=1).half())  # for no native kernel
    assert machine.describe(half).kernels == "torch"


def test_a_system_without_load_average_has_none(model, monkeypatch):
    monkeypatch.delattr(machine.os, "getloadavg", raising=False)
    monkeypatch.delattr(machine.os, "sched_getaffinity", raising=False)
    found = machine.describe(model)
    assert found.load_average is None
    assert found.n_cpus >= 1

"""What the figures were measured on: machine, versions and load. It measures nothing itself."""

import os
import platform
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import torch

from llmcli import __version__
from llmcli.core.recorded import kernels_of
from llmcli.engine.session import Model


@dataclass(frozen=True)
class Machine:
    """Where and how the model ran. `n_cpus` counts the logical CPUs that the process may use;
    `load_average` is the system's over 1, 5 and 15 minutes when the run began, None where the
    system keeps none; `gpu_info` is None on the CPU, `quantization` where no weights are packed.
    `kernels` says what decoded: torch's own, native ones by instruction set, or a CUDA graph of
    torch's. `test_time` is UTC."""

    cpu_info: str
    gpu_info: str | None
    n_cpus: int
    n_threads: int
    device: str
    dtype: str
    quantization: str | None
    kernels: str
    batch_size: int
    os: str
    python_version: str
    torch_version: str
    llmcli_version: str
    load_average: tuple[float, float, float] | None
    test_time: str


def describe(model: Model) -> Machine:
    """The machine as it is now, and how `model` was loaded on it."""
    device, scheme = model.decoder.device, model.scheme
    return Machine(
        cpu_info=_cpu(),
        gpu_info=torch.cuda.get_device_name(device) if device.type == "cuda" else None,
        n_cpus=_usable_cpus(),
        n_threads=torch.get_num_threads(),
        device=str(device),
        dtype=str(model.decoder.dtype).removeprefix("torch."),
        quantization=None if scheme is None else scheme.label,
        kernels=kernels_of(model.decoder),
        batch_size=1,
        os=platform.platform(terse=True),
        python_version=platform.python_version(),
        torch_version=str(torch.__version__),
        llmcli_version=__version__,
        load_average=os.getloadavg() if hasattr(os, "getloadavg") else None,
        test_time=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _cpu() -> str:
    """The CPU's name, where the system tells it; else its architecture."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _usable_cpus() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1

"""The machine in one line."""

import os
import platform
from pathlib import Path

from benchmarks.place import PYTHON, Place, run

# Those that decide which kernels a program may choose.
FEATURES = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16")


def physical_cores() -> int:
    """Those that this process may use: two threads of one core share what it computes with."""
    shared = "/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"
    files = [(cpu, Path(shared.format(cpu))) for cpu in os.sched_getaffinity(0)]
    return len({file.read_text() if file.exists() else cpu for cpu, file in files})


def describe(place: Place) -> str:
    cpu, flags = platform.processor() or platform.machine(), []
    lines = Path("/proc/cpuinfo")
    if lines.exists():
        fields = [line.split(":", 1) for line in lines.read_text().splitlines() if ":" in line]
        facts = {name.strip(): value.strip() for name, value in fields}
        cpu = facts.get("model name", cpu)
        flags = [name for name in FEATURES if name in facts.get("flags", "").split()]
    words = [f"{cpu} ({', '.join(flags) or 'none of ' + ', '.join(FEATURES)})"]
    words.append(f"{physical_cores()} cores, {place.threads} threads")
    if place.device == "cuda":
        name = "import torch; print(torch.cuda.get_device_name())"
        words.insert(0, run([PYTHON, "-c", name]).output.strip())
    return "; ".join(words)

"""What this machine's CPU can compute in. It knows nothing of what is computed."""

from functools import cache
from pathlib import Path


@cache
def native_dtypes() -> frozenset[str]:
    """The dtypes in which the CPU multiplies matrices by itself; others are emulated, slowly."""
    flags = _flags()
    native = {"fp32"}
    if flags & {"avx512_bf16", "amx_bf16", "bf16"}:
        native.add("bf16")
    if flags & {"avx512_fp16", "amx_fp16", "asimdhp"}:
        native.add("fp16")
    return frozenset(native)


@cache
def has_matrix_unit() -> bool:
    """Whether it multiplies tiles of bf16 matrices by one instruction, as AMX does."""
    return "amx_bf16" in _flags()


def _flags() -> set[str]:
    """The CPU's features as Linux lists them; empty where that list is not to be had."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.lower().startswith(("flags", "features")):
                return set(line.split(":", 1)[1].split())
    except OSError:
        pass
    return set()

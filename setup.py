"""Builds the CPU kernels of `llmcli.core`, where there is a C compiler. Without one, or where it
fails, the package is pure Python and computes with torch's own operations.

Each instruction set is one more compilation of the same file; which one runs is chosen at run time.
"""

import platform
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

SOURCES = Path("llmcli/core/native")
OPERATIONS = ("module", "program", "operations", "attention", "pool")
LEVELS = {
    "baseline": (16, []),
    "avx2": (32, ["-march=x86-64-v3"]),
    "avx512": (64, ["-march=x86-64-v4"]),
    "avx512_bf16": (64, ["-march=x86-64-v4", "-mavx512vnni", "-mavx512bf16"]),
}
FLAGS = ["-std=gnu11", "-O3", "-Wall", "-Wextra", "-ffp-contract=fast"]
# Python's own flags have -fwrapv, under which loops over many rows take a tenth longer; wherever
# code before them grows or shrinks, loops stay at the start of a line of the cache.
FLAGS += ["-fno-wrapv", "-falign-loops=64"]


class BuildKernels(build_ext):
    def build_extension(self, extension: Extension) -> None:
        x86 = platform.machine().lower() in ("x86_64", "amd64")
        for name, (width, flags) in LEVELS.items():
            if name != "baseline" and not x86:
                continue
            macros = [("NAME", name), ("TABLE", f"kernels_{name}"), ("VECTOR", str(width))]
            extension.extra_objects += self.compiler.compile(
                [str(SOURCES / "kernels.c")],
                output_dir=str(Path(self.build_temp) / name),
                macros=macros,
                extra_postargs=[*FLAGS, *flags],
                depends=extension.depends,
            )
        super().build_extension(extension)


setup(
    ext_modules=[
        Extension(
            "llmcli.core._native",
            [str(SOURCES / f"{name}.c") for name in OPERATIONS],
            depends=sorted(str(path) for path in SOURCES.glob("*.h")),
            extra_compile_args=[*FLAGS, "-pthread"],
            extra_link_args=["-pthread"] + ([] if sys.platform == "darwin" else ["-lm"]),
            py_limited_api=True,
            optional=True,
        )
    ],
    cmdclass={"build_ext": BuildKernels},
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)

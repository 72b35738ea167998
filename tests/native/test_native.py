"""The C sources by themselves: memory errors, undefined behaviour, and vectors of every width."""

import shutil
import subprocess
from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[2] / "llmcli/core/native"
COMPILER = shutil.which("cc")
SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]


@pytest.mark.skipif(COMPILER is None, reason="no C compiler")
def test_kernels_keep_to_their_arrays(tmp_path: Path) -> None:
    """Each width is compiled for any CPU, so that those of other machines run here too."""
    objects = []
    base = [str(COMPILER), "-std=gnu11", "-O1", "-g", "-pthread", *SANITIZERS, "-I", str(SOURCES)]
    widths = {"baseline": 16, "avx2": 32, "avx512": 64, "avx512_bf16": 64}
    for name, width in widths.items():
        objects.append(str(tmp_path / f"{name}.o"))
        macros = [f"-DNAME={name}", f"-DTABLE=kernels_{name}", f"-DVECTOR={width}"]
        macros.append(f"-DMULTIPLIES_BF16={int(name.endswith('bf16'))}")
        quiet = ["-Wno-psabi", "-c", str(SOURCES / "kernels.c"), "-o", objects[-1]]
        subprocess.run([*base, *macros, *quiet], check=True)
    program = tmp_path / "check"
    here = [str(Path(__file__).with_name("check_kernels.c")), str(SOURCES / "pool.c")]
    subprocess.run([*base, *here, *objects, "-lm", "-o", str(program)], check=True)
    done = subprocess.run([program], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    assert done.stdout == "all kernels agree\n"

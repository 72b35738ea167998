"""llama-bench, built from the sources that the llama-cpp-python package of PyPI carries.

    python -m benchmarks.build_llama_cpp    # prints where it is

Built once into the cache, for this very CPU. Where $LLAMA_BENCH names one, that is taken instead.
Needs cmake and a C++ compiler.
"""

import os
import shutil
import tarfile
from pathlib import Path

from benchmarks.place import CACHE, PYTHON, Unavailable, run, tell

VERSION = "0.3.36"
OPTIONS = {
    "CMAKE_BUILD_TYPE": "Release",
    "BUILD_SHARED_LIBS": "OFF",
    "GGML_NATIVE": "ON",
    "GGML_OPENMP": "ON",
    "LLAMA_BUILD_TESTS": "OFF",
    "LLAMA_BUILD_EXAMPLES": "OFF",
    "LLAMA_BUILD_SERVER": "OFF",
    "LLAMA_BUILD_APP": "OFF",
    "LLAMA_BUILD_UI": "OFF",
    "LLAMA_USE_PREBUILT_UI": "OFF",
    "LLAMA_OPENSSL": "OFF",
    # Without it, the commit of whatever repository the sources lie in would be taken for theirs.
    "LLAMA_BUILD_COMMIT": f"llama-cpp-python-{VERSION}+tile-barrier",
}

# GCC 12 thinks that loading a tile configuration reads its first eight bytes alone, drops the
# writes to the rest, and AMX dies of an illegal instruction. The barrier makes it keep them.
AMX_FILE = "ggml/src/ggml-cpu/amx/mmq.cpp"
LOAD = "    _tile_loadconfig(&tc);\n"
BARRIER = '    asm volatile("" : : "r"(&tc) : "memory");\n'


def llama_bench() -> Path:
    """The program, built if need be."""
    if given := os.environ.get("LLAMA_BENCH"):
        if not os.access(given, os.X_OK):
            raise Unavailable(f"LLAMA_BENCH={given} is no program")
        return Path(given)
    program = CACHE / f"llama.cpp-{VERSION}" / "llama-bench"
    if not program.exists():
        missing = [tool for tool in ("cmake", "c++") if shutil.which(tool) is None]
        if missing:
            raise Unavailable(f"building llama.cpp needs {' and '.join(missing)}")
        build(program)
    return program


def build(program: Path) -> None:
    work = CACHE / "llama.cpp-build"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    sources = unpack(fetch(work), work)
    add_barrier(sources / AMX_FILE)
    tell("Building llama-bench (some minutes) ...")
    options = [f"-D{name}={value}" for name, value in OPTIONS.items()]
    run(["cmake", "-S", sources, "-B", work / "build", *options])
    jobs = str(len(os.sched_getaffinity(0)))
    run(["cmake", "--build", work / "build", "--target", "llama-bench", "--parallel", jobs])
    program.parent.mkdir(exist_ok=True)
    (work / "build/bin/llama-bench").rename(program)
    shutil.rmtree(work)


def fetch(folder: Path) -> Path:
    """The source package."""
    tell(f"Downloading the sources of llama-cpp-python {VERSION} ...")
    name = "llama-cpp-python"
    options = ["--quiet", "--no-deps", "--no-binary", name, "--dest", folder]
    run([PYTHON, "-m", "pip", "download", *options, f"{name}=={VERSION}"])
    return next(folder.glob("*.tar.gz"))


def unpack(archive: Path, folder: Path) -> Path:
    with tarfile.open(archive) as opened:
        opened.extractall(folder, filter="data")
    return next(folder.glob("*/vendor/llama.cpp"))


def add_barrier(file: Path) -> None:
    text = file.read_text()
    if text.count(LOAD) != 1:
        raise Unavailable(f"{AMX_FILE} does not load its tile configuration where it used to")
    file.write_text(text.replace(LOAD, BARRIER + LOAD))


if __name__ == "__main__":
    print(llama_bench())

"""The programs that are compared: how each is prepared, called and read.

Each call is a process of its own that loads the model, warms up and measures once.
"""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Protocol

from benchmarks import gguf_file, peer_openvino
from benchmarks.build_llama_cpp import llama_bench
from benchmarks.place import PYTHON, Finished, Place, Unavailable, run
from benchmarks.workload import DEEP, EMPTY, N_GENERATED, N_PROMPT, POSITIONS, PREFILL, TESTS

PRECISIONS = ("fp32", "16 bit", "int8", "int4")
LLMCLI_OPTIONS = {
    "fp32": ("--dtype", "fp32"),
    "16 bit": ("--dtype", "bf16"),
    "int8": ("--quant", "int8"),
    "int4": ("--quant", "int4"),
}
LLAMA_CPP_FILES = {"fp32": "F32", "16 bit": "BF16", "int8": "Q8_0", "int4": "Q4_0"}
LLAMA_CPP_CALLS = (
    ("-p", str(N_PROMPT), "-n", "0", "-fa", "1"),
    ("-p", "0", "-n", str(N_GENERATED), "-d", f"0,{N_PROMPT}", "-fa", "0"),
)
TRANSFORMERS_DTYPES = {"fp32": "float32", "16 bit": "bfloat16"}


@dataclass(frozen=True)
class Result:
    """`rates` are tokens per second by test; the bytes are None where the program does not tell."""

    rates: dict[str, float]
    peak_rss_bytes: int
    version: str
    weights_bytes: int | None = None
    kv_bytes_per_token: int | None = None

    def step_bytes(self, test: str) -> float | None:
        """What a decode step must read, with tied heads: all weights, and the cache. Prefill reads
        the weights once for many tokens, and memory is not what bounds it."""
        if test == PREFILL or self.weights_bytes is None or self.kv_bytes_per_token is None:
            return None
        return self.weights_bytes + self.kv_bytes_per_token * POSITIONS[test]


class Tool(Protocol):
    name: str

    def prepare(self, folder: Path, precision: str, place: Place) -> None:
        """Make what `run` needs. Raises Unavailable where it cannot run here."""

    def run(self, folder: Path, precision: str, place: Place) -> Result:
        """Measure once."""


class Llmcli:
    name = "llmcli"

    def prepare(self, folder: Path, precision: str, place: Place) -> None:
        option = LLMCLI_OPTIONS[precision][0]
        if option not in _help():
            raise Unavailable(f"`llmcli bench --help` lists no {option}")

    def run(self, folder: Path, precision: str, place: Place) -> Result:
        done = run(
            [
                *(PYTHON, "-m", "llmcli", "bench", folder, "--json", "--cache", "on", "-r", "1"),
                *("-p", f"0,{N_PROMPT}", "-n", str(N_GENERATED), "--device", place.device),
                *("--threads", str(place.threads), *LLMCLI_OPTIONS[precision]),
            ]
        )
        report = json.loads(done.output)
        tests = {test["name"]: test for test in report["tests"]}
        machine = report["machine"]
        return Result(
            rates={name: tests[name]["avg_ts"] for name in TESTS},
            peak_rss_bytes=done.peak_rss_bytes,
            version=f"llmcli {machine['llmcli_version']}, torch {machine['torch_version']}",
            weights_bytes=report["model_size"],
            kv_bytes_per_token=tests[EMPTY]["kv_cache"]["bytes_per_token"],
        )


@cache
def _help() -> str:
    return run([PYTHON, "-m", "llmcli", "bench", "--help"]).output


class LlamaCpp:
    """With the flags that suit it best: flash attention for the prompt, none for decoding."""

    name = "llama.cpp"

    def prepare(self, folder: Path, precision: str, place: Place) -> None:
        if place.device != "cpu":
            raise Unavailable("llama.cpp is built for the CPU alone")
        llama_bench()
        gguf_file.make(folder, LLAMA_CPP_FILES[precision])

    def run(self, folder: Path, precision: str, place: Place) -> Result:
        file = gguf_file.make(folder, LLAMA_CPP_FILES[precision])
        rates, peaks = {}, []
        for call in LLAMA_CPP_CALLS:
            command = [llama_bench(), "-m", file, "-t", str(place.threads), "-r", "1", "-o", "json"]
            done = run([*command, *call])
            peaks.append(done.peak_rss_bytes)
            for test in json.loads(done.output):
                generated = DEEP if test["n_depth"] else EMPTY
                rates[generated if test["n_gen"] else PREFILL] = test["avg_ts"]
        return Result(
            rates=rates,
            peak_rss_bytes=max(peaks),
            version=f"llama.cpp {test['build_commit']}",
            weights_bytes=test["model_size"],
            kv_bytes_per_token=_kv_values(folder) * {"f16": 2}[test["type_k"]],
        )


def _kv_values(folder: Path) -> int:
    """Numbers that a token adds to the cache."""
    config = json.loads((folder / "config.json").read_text())
    d_head = config["hidden_size"] // config["num_attention_heads"]
    return 2 * config["num_hidden_layers"] * config["num_key_value_heads"] * d_head


class Transformers:
    name = "transformers"

    def prepare(self, folder: Path, precision: str, place: Place) -> None:
        if precision not in TRANSFORMERS_DTYPES:
            raise Unavailable(f"transformers has no {precision} of its own for the CPU")

    def run(self, folder: Path, precision: str, place: Place) -> Result:
        arguments = [folder, TRANSFORMERS_DTYPES[precision], place.device, str(place.threads)]
        return _reported(run([PYTHON, "-m", "benchmarks.peer_transformers", *arguments]))


class OpenVino:
    name = "OpenVINO"

    def prepare(self, folder: Path, precision: str, place: Place) -> None:
        if place.device != "cpu":
            raise Unavailable("OpenVINO GenAI is run on the CPU alone")
        peer_openvino.convert(folder, precision)

    def run(self, folder: Path, precision: str, place: Place) -> Result:
        converted = peer_openvino.convert(folder, precision)
        python = peer_openvino.environment()
        arguments = [converted, precision, str(place.threads)]
        return _reported(run([python, "-m", "benchmarks.peer_openvino", *arguments]))


def _reported(done: Finished) -> Result:
    """What one of this folder's own child programs printed."""
    return Result(**json.loads(done.output), peak_rss_bytes=done.peak_rss_bytes)


TOOLS: dict[str, Tool] = {
    tool.name: tool for tool in (Llmcli(), LlamaCpp(), Transformers(), OpenVino())
}

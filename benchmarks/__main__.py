"""llmcli beside other programs, on random weights of published shapes.

    python -m benchmarks                      # speed, at every shape and precision
    python -m benchmarks --device cuda        # the same on a GPU, where there is one
    python -m benchmarks --start --busy       # start-up; speed beside a busy process
    python -m benchmarks --step               # where a decode step's time goes
    python -m benchmarks --prefix             # a conversation's second turn
    python -m benchmarks --resume             # a kept conversation, until it goes on
    python -m benchmarks --mask               # what a JSON schema adds to a decode step
    python -m benchmarks --inspect            # reading headers, up to a million tensors
    python -m benchmarks --speed --start --busy --step --prefix --resume --mask --inspect --write

The last is all of it, into docs/performance.md.
Models and other programs are made on first use, in .benchmarks (some 25 GB with everything).
Measure on a machine that does nothing else.
"""

import argparse
import sys
from pathlib import Path

from benchmarks import (
    decode_step,
    inspection,
    machine,
    mask,
    neighbour,
    page,
    prefix_reuse,
    resume,
    speed,
    start_up,
)
from benchmarks.place import CACHE, PYTHON, Place, Unavailable, run, tell
from benchmarks.tools import PRECISIONS, TOOLS

# With the precisions that are measured at each. Files in fp32 differ from others in fp32 alone.
SHAPES = {
    "SmolLM2-135M": PRECISIONS,
    "SmolLM2-135M-fp32": ("fp32",),
    "Llama-3.2-1B": PRECISIONS,
}
NEIGHBOURS = ("llmcli", "llama.cpp")
CPU_PARTS = ("start", "busy", "step", "prefix", "resume", "mask", "inspect")


def main() -> None:
    options = parse()
    place = Place(options.device, options.threads)
    if place.device == "cuda" and not has_gpu():
        print("no CUDA device here: nothing measured, nothing written")
        return
    where = machine.describe(place)
    precisions, programs = options.precision or PRECISIONS, options.program or TOOLS
    rounds, small = options.rounds, next(iter(SHAPES))

    def show(name: str, block: str) -> None:
        print(f"\n## {name}\n\n{block}", flush=True)
        if options.write:
            page.write(name, block)

    if options.speed or not any(getattr(options, part) for part in CPU_PARTS):
        for shape in options.shape or SHAPES:
            asked = [precision for precision in SHAPES[shape] if precision in precisions]
            measured = speed.measure(folder(shape), asked, programs, place, rounds)
            show(block_name(shape, place), speed.block(measured, where))
    if options.step:
        show("step", decode_step.block(decode_step.measure(folder(small), place), where))
    if options.prefix:
        reuse = prefix_reuse.measure(folder(small), place, rounds)
        show("prefix", prefix_reuse.block(reuse, where))
    if options.resume:
        show("resume", resume.block(resume.measure(folder(small), place, rounds), where))
    if options.mask:
        show("mask", mask.block(mask.measure(folder(small), place), where))
    if options.inspect:
        show("inspect", inspection.block(inspection.measure(rounds), where))
    if options.start:
        show("start", start_up.block(start_up.measure(folder(small), place, rounds), where))
    if options.busy:
        both = [name for name in NEIGHBOURS if name in programs]
        pairs = neighbour.measure(folder(small), precisions, both, place, rounds)
        show("busy", neighbour.block(pairs, where))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--speed", action="store_true", help="this, where no part is named")
    parser.add_argument("--start", action="store_true", help="command to first token")
    parser.add_argument("--busy", action="store_true", help="beside a process that spins")
    parser.add_argument("--step", action="store_true", help="where a decode step's time goes")
    parser.add_argument("--prefix", action="store_true", help="second turn, prefix reused or not")
    parser.add_argument("--resume", action="store_true", help="a kept conversation goes on")
    parser.add_argument("--mask", action="store_true", help="what a JSON schema adds to a step")
    parser.add_argument("--inspect", action="store_true", help="headers, up to a million tensors")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--shape", choices=SHAPES, action="append", help="repeatable")
    parser.add_argument("--precision", choices=PRECISIONS, action="append", help="repeatable")
    parser.add_argument("--program", choices=TOOLS, action="append", help="repeatable")
    parser.add_argument("--rounds", type=int, default=3)
    cores = machine.physical_cores()
    parser.add_argument(
        "--threads", type=int, default=cores, help="default: %(default)s, the cores"
    )
    parser.add_argument("--write", action="store_true", help=f"into {page.PAGE.name}")
    options = parser.parse_args()
    if min(options.rounds, options.threads) < 1:
        parser.error("--rounds and --threads begin at 1")
    if options.device != "cpu" and any(getattr(options, part) for part in CPU_PARTS):
        parser.error(f"{', '.join(f'--{part}' for part in CPU_PARTS)} are measured on the CPU")
    return options


def block_name(shape: str, place: Place) -> str:
    return f"{shape} on {place.device}"


def has_gpu() -> bool:
    check = "import torch; print(torch.cuda.is_available())"
    return run([PYTHON, "-c", check]).output.strip() == "True"


def folder(shape: str) -> Path:
    """The model, made on first use."""
    made = CACHE / shape
    if not made.exists():
        tell(f"Making {shape} ...")
        unfinished = made.with_suffix(".part")
        run([PYTHON, "-m", "benchmarks.models", shape, unfinished])
        unfinished.rename(made)
    return made


if __name__ == "__main__":
    try:
        main()
    except Unavailable as failure:
        sys.exit(f"error: {failure}")

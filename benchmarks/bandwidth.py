"""How fast memory can be read, in GB/s, on stdout: the sum of a buffer that no cache holds.

python -m benchmarks.bandwidth DEVICE THREADS
"""

import statistics
import sys
from time import perf_counter

import torch

SIZES = {"cpu": 1 << 29, "cuda": 1 << 32}
REPEATS = 5


def main(device: str, threads: str) -> None:
    torch.set_num_threads(int(threads))
    buffer = torch.ones(SIZES[device] // 4, device=device)
    rates = []
    for _ in range(1 + REPEATS):
        start = perf_counter()
        buffer.sum().item()  # waits for the device
        rates.append(buffer.nbytes / (perf_counter() - start) / 1e9)
    print(statistics.median(rates[1:]))


if __name__ == "__main__":
    main(*sys.argv[1:])

"""transformers, in a process of its own: its rates as JSON on stdout.

python -m benchmarks.peer_transformers FOLDER DTYPE DEVICE THREADS
"""

import json
import sys
from time import perf_counter

import torch
import transformers
from transformers.generation.streamers import BaseStreamer

from benchmarks.workload import N_GENERATED, N_PROMPT, rates_by_test


class Clock(BaseStreamer):
    """When each token was there. The prompt comes first, and counts for none."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def put(self, value: torch.Tensor) -> None:
        self.times.append(perf_counter())

    def end(self) -> None:
        pass

    def rate(self) -> float:
        """Over the gaps between tokens; the first token's time belongs to prefill."""
        first, *_, last = gaps = self.times[1:]
        return (len(gaps) - 1) / (last - first)


@torch.inference_mode()
def main(folder: str, dtype: str, device: str, threads: str) -> None:
    torch.set_num_threads(int(threads))
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype))
    model = model.to(device).eval()
    model.generation_config.eos_token_id = None
    config = model.config

    def prefill(ids: torch.Tensor) -> float:
        start = perf_counter()
        logits = model(ids, use_cache=True, logits_to_keep=1).logits
        logits[0, -1].argmax().item()  # waits for the device
        return ids.shape[1] / (perf_counter() - start)

    def decode(ids: torch.Tensor, n_tokens: int) -> float:
        clock = Clock()
        model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=n_tokens,
            do_sample=False,
            streamer=clock,
        )
        return clock.rate()

    torch.manual_seed(0)
    ids = torch.randint(config.vocab_size, (1, N_PROMPT), device=device)
    for _ in range(2):  # the first is the warm-up
        pp = prefill(ids)
    decode(ids, 8)
    deep, empty = decode(ids, N_GENERATED), decode(ids[:, :1], N_GENERATED)
    d_head = config.hidden_size // config.num_attention_heads
    values = 2 * config.num_hidden_layers * config.num_key_value_heads * d_head
    report = {
        "rates": rates_by_test(pp, empty, deep),
        "weights_bytes": sum(p.nbytes for p in model.parameters()),
        "kv_bytes_per_token": values * model.dtype.itemsize,
        "version": f"transformers {transformers.__version__}",
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main(*sys.argv[1:])

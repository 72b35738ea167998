"""The forward pass: token ids -> hidden states -> logits, for every family alike.

It knows nothing of files, text, sampling or time; what a model has is in its `ModelConfig`.

    ids ─ embed ─┬─ norm1 ─ attention ─ + ─┬─ norm2 ─ MLP ─ + ─ ... ─ final_norm ─ unembed ─ logits
                 └──────────────────────┘  └─────────────┘
"""

from collections.abc import Callable
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from llmcli.core.cache import KVCache
from llmcli.core.config import Activation, ModelConfig, Rope
from llmcli.core.linear import Embedding, Linear
from llmcli.core.rope import Rotation
from llmcli.core.tap import Tap, point

ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    "silu": F.silu,
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "relu": F.relu,
}


class Norm(nn.Module):
    """RMSNorm (arXiv:1910.07467); statistics and weight in fp32 whatever the activations are in."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.eps = config.norm_eps
        self.weight = nn.Parameter(torch.ones(config.d_model))

    def forward(self, x: Tensor) -> Tensor:
        if x.dtype == torch.float32:
            return F.rms_norm(x, self.weight.shape, self.weight, self.eps)
        return F.rms_norm(x.float(), self.weight.shape, self.weight.float(), self.eps).to(x.dtype)


class Attention(nn.Module):
    """Causal self-attention, `n_heads` queries sharing `n_kv_heads` keys and values."""

    def __init__(self, config: ModelConfig, index: int) -> None:
        super().__init__()
        self.index = index
        self.n_heads, self.n_kv_heads, self.d_head = (
            config.n_heads,
            config.n_kv_heads,
            config.d_head,
        )
        self.scale = config.d_head**-0.5
        self.widths = (config.d_q, config.d_kv, config.d_kv)
        self.qkv = Linear(config.d_model, sum(self.widths), bias=config.qkv_bias)
        self.out = Linear(config.d_q, config.d_model, bias=config.out_bias)

    def forward(
        self,
        x: Tensor,
        rotate: Rotation,
        mask: Tensor | None,
        cache: KVCache | None,
        tap: Tap | None,
    ) -> Tensor:
        """x (B, T, d_model) -> (B, T, d_model). `mask` (T, S) is True where a query may look; None
        means that plain causality (or, for one query, nothing) needs no mask."""
        name = f"blocks.{self.index}.attn"
        q, k, v = (
            part.unflatten(-1, (-1, self.d_head)) for part in self.qkv(x).split(self.widths, dim=-1)
        )  # (B, T, heads, D)
        q, k, v = point(tap, f"{name}.q", q), point(tap, f"{name}.k", k), point(tap, f"{name}.v", v)
        q, k, v = rotate(q).transpose(1, 2), rotate(k).transpose(1, 2), v.transpose(1, 2)
        if cache is not None:
            k, v = cache.append(self.index, k, v)  # (B, K, S, D)
        z = self._mix(q, k, v, mask) if tap is None else self._mix_tapped(q, k, v, mask, tap, name)
        z = point(tap, f"{name}.z", z.transpose(1, 2))  # (B, T, H, D)
        return cast(Tensor, self.out(z.flatten(2)))

    def _mix(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        batch, n_heads, n_queries, d_head = q.shape
        if n_queries == 1 and mask is None:
            # The query heads of a group are rows of one query matrix: keys are read once for all.
            grouped = q.reshape(batch, self.n_kv_heads, -1, d_head)
            z = F.scaled_dot_product_attention(grouped, k, v, scale=self.scale)
            return z.reshape(batch, n_heads, 1, d_head)
        return F.scaled_dot_product_attention(
            q,
            k,
            v,
            attn_mask=mask,
            is_causal=mask is None,
            scale=self.scale,
            enable_gqa=self.n_kv_heads != self.n_heads,
        )

    def _mix_tapped(
        self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, tap: Tap, name: str
    ) -> Tensor:
        """The same with every step in the open: scores and the softmax's pattern."""
        groups = self.n_heads // self.n_kv_heads
        k, v = k.repeat_interleave(groups, dim=1), v.repeat_interleave(groups, dim=1)
        if mask is None:
            mask = causal_mask(k.shape[2] - q.shape[2], q.shape[2], q.device)
        scores = (q @ k.transpose(-1, -2)) * self.scale
        scores = point(tap, f"{name}.scores", scores.masked_fill(~mask, float("-inf")))
        pattern = torch.softmax(scores, dim=-1, dtype=torch.float32).to(q.dtype)
        return point(tap, f"{name}.pattern", pattern) @ v


class MLP(nn.Module):
    """Gated MLP (SwiGLU and kin, arXiv:2002.05202): down(act(gate(x)) * up(x))."""

    def __init__(self, config: ModelConfig, index: int) -> None:
        super().__init__()
        self.index = index
        self.activation = ACTIVATIONS[config.activation]
        self.gate_up = Linear(config.d_model, 2 * config.d_ff, bias=config.mlp_bias)
        self.down = Linear(config.d_ff, config.d_model, bias=config.mlp_bias)

    def forward(self, x: Tensor, tap: Tap | None) -> Tensor:
        name = f"blocks.{self.index}.mlp"
        gate, up = self.gate_up(x).chunk(2, dim=-1)
        gate, up = point(tap, f"{name}.pre", gate), point(tap, f"{name}.up", up)
        return cast(Tensor, self.down(point(tap, f"{name}.post", self.activation(gate) * up)))


class Block(nn.Module):
    """One layer: attention and MLP, each reading a norm of the residual stream and adding to it."""

    def __init__(self, config: ModelConfig, index: int) -> None:
        super().__init__()
        self.index = index
        self.norm1 = Norm(config)
        self.attn = Attention(config, index)
        self.norm2 = Norm(config)
        self.mlp = MLP(config, index)

    def forward(
        self,
        x: Tensor,
        rotate: Rotation,
        mask: Tensor | None,
        cache: KVCache | None,
        tap: Tap | None,
    ) -> Tensor:
        name = f"blocks.{self.index}"
        x = point(tap, f"{name}.resid_pre", x)
        x = x + point(tap, f"{name}.attn_out", self.attn(self.norm1(x), rotate, mask, cache, tap))
        x = point(tap, f"{name}.resid_mid", x)
        x = x + point(tap, f"{name}.mlp_out", self.mlp(self.norm2(x), tap))
        return point(tap, f"{name}.resid_post", x)


class Decoder(nn.Module):
    """A decoder-only transformer. `hidden` runs the layers, `unembed` gives logits for the rows
    that need them: in generation, the last one alone."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.embed = Embedding(config.vocab_size, config.d_model)
        self.blocks = nn.ModuleList(Block(config, index) for index in range(config.n_layers))
        self.final_norm = Norm(config)
        self.head = None if config.tied else Linear(config.d_model, config.vocab_size, bias=False)

    @property
    def dtype(self) -> torch.dtype:
        return self.embed.weight.dtype

    @property
    def device(self) -> torch.device:
        return self.embed.weight.device

    def new_cache(self, *, capacity: int = 64, limit: int | None = None, batch: int = 1) -> KVCache:
        """An empty cache of this model's shape, dtype and device."""
        return KVCache(
            self.config,
            dtype=self.dtype,
            device=self.device,
            capacity=capacity,
            limit=limit,
            batch=batch,
        )

    def hidden(self, ids: Tensor, cache: KVCache | None = None, tap: Tap | None = None) -> Tensor:
        """ids (B, T) of the positions that follow the cache's -> final-normed states
        (B, T, d_model). The cache, if given, then holds them too."""
        start, count = (cache.length if cache is not None else 0), ids.shape[1]
        x = point(tap, "embed", self.embed(ids))
        rotations: dict[Rope, Rotation] = {}
        for layer in self.config.layers:
            if layer.rope not in rotations:
                rotations[layer.rope] = Rotation(layer.rope, start, count, x)
        # One query sees all; from position 0 on, SDPA's own causality is enough.
        mask = None if count == 1 or start == 0 else causal_mask(start, count, x.device)
        for block, layer in zip(self.blocks, self.config.layers, strict=True):
            x = block(x, rotations[layer.rope], mask, cache, tap)
        if cache is not None:
            cache.advance(count)
        return point(tap, "final_norm", self.final_norm(x))

    def unembed(self, hidden: Tensor, tap: Tap | None = None) -> Tensor:
        """States (..., d_model) -> logits (..., vocab_size) in fp32."""
        logits = F.linear(hidden, self.embed.weight) if self.head is None else self.head(hidden)
        return point(tap, "logits", logits.float())

    def forward(self, ids: Tensor, cache: KVCache | None = None, tap: Tap | None = None) -> Tensor:
        """Logits of every position, (B, T, vocab_size): for scoring, training and tests."""
        return self.unembed(self.hidden(ids, cache, tap), tap)


def causal_mask(start: int, count: int, device: torch.device) -> Tensor:
    """(count, start + count), True where query `start + row` may look at position `column`."""
    queries = torch.arange(start, start + count, device=device).unsqueeze(1)
    return torch.arange(start + count, device=device) <= queries

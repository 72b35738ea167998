"""The forward pass: token ids -> hidden states -> logits, for every family alike.

It knows nothing of files, text, sampling or time; what a model has is in its `ModelConfig`.

    ids ─ embed ─┬─ norm1 ─ attention ─ post1 ─ + ─┬─ norm2 ─ MLP ─ post2 ─ + ─ ... ─ final_norm
                 └──────────────────────────────┘  └────────────────────────┘          │
    norms before a sublayer, after it, or both: what a family does not have          unembed
    is the identity                                                                    │
                                                                                     logits
"""

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from llmcli.core import ops
from llmcli.core.attention import Attention, Sight, soft_cap
from llmcli.core.cache import KVCache
from llmcli.core.config import ModelConfig, Rope
from llmcli.core.linear import Embedding, Linear
from llmcli.core.norm import make_norm
from llmcli.core.rope import Rotation
from llmcli.core.tap import Tap, point

if TYPE_CHECKING:
    from llmcli.core.captured import CapturedStep
    from llmcli.core.recorded import RecordedStep


class GatedMLP(nn.Module):
    """down(act(gate(x)) * up(x)): SwiGLU and kin (arXiv:2002.05202)."""

    def __init__(self, config: ModelConfig, index: int) -> None:
        super().__init__()
        self.index = index
        self.activation = config.activation
        self.gate_up = Linear(config.d_model, 2 * config.d_ff, bias=config.mlp_bias)
        self.down = Linear(config.d_ff, config.d_model, bias=config.mlp_bias)

    def forward(self, x: Tensor, tap: Tap | None) -> Tensor:
        gate_up = self.gate_up(x)
        if tap is None:
            return cast(Tensor, self.down(ops.activate(gate_up, self.activation, gated=True)))
        name = f"blocks.{self.index}.mlp"
        gate, up = gate_up.chunk(2, dim=-1)
        gate, up = tap(f"{name}.pre", gate), tap(f"{name}.up", up)
        post = ops.activate(gate, self.activation, gated=False) * up
        return cast(Tensor, self.down(tap(f"{name}.post", post)))


class PlainMLP(nn.Module):
    """down(act(up(x)))."""

    def __init__(self, config: ModelConfig, index: int) -> None:
        super().__init__()
        self.index = index
        self.activation = config.activation
        self.up = Linear(config.d_model, config.d_ff, bias=config.mlp_bias)
        self.down = Linear(config.d_ff, config.d_model, bias=config.mlp_bias)

    def forward(self, x: Tensor, tap: Tap | None) -> Tensor:
        name = f"blocks.{self.index}.mlp"
        pre = point(tap, f"{name}.pre", self.up(x))
        post = ops.activate(pre, self.activation, gated=False)
        return cast(Tensor, self.down(point(tap, f"{name}.post", post)))


class Block(nn.Module):
    """One layer: attention and MLP, each reading the residual stream and adding to it."""

    def __init__(self, config: ModelConfig, index: int) -> None:
        super().__init__()
        self.index = index
        self.residual_scale = config.residual_scale
        before = config.norm_places in ("before", "both")
        after = config.norm_places in ("after", "both")
        self.norm1 = make_norm(config, config.d_model) if before else nn.Identity()
        self.attn = Attention(config, index)
        self.post1 = make_norm(config, config.d_model) if after else nn.Identity()
        self.norm2 = make_norm(config, config.d_model) if before else nn.Identity()
        self.mlp = GatedMLP(config, index) if config.gated else PlainMLP(config, index)
        self.post2 = make_norm(config, config.d_model) if after else nn.Identity()

    def forward(
        self,
        x: Tensor,
        rotate: Rotation | None,
        sight: Sight,
        cache: KVCache | None,
        tap: Tap | None,
    ) -> Tensor:
        name = f"blocks.{self.index}"
        x = point(tap, f"{name}.resid_pre", x)
        added = self.post1(self.attn(self.norm1(x), rotate, sight, cache, tap))
        x = ops.add(x, point(tap, f"{name}.attn_out", added), self.residual_scale)
        x = point(tap, f"{name}.resid_mid", x)
        added = self.post2(self.mlp(self.norm2(x), tap))
        x = ops.add(x, point(tap, f"{name}.mlp_out", added), self.residual_scale)
        return point(tap, f"{name}.resid_post", x)


class Decoder(nn.Module):
    """A decoder-only transformer. `hidden` runs the layers, `unembed` gives logits for the rows
    that need them: in generation, the last one alone."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.embed = Embedding(config.vocab_size, config.d_model)
        self.positions = (
            None
            if config.learned_positions is None
            else Embedding(config.learned_positions, config.d_model)
        )
        self.blocks = nn.ModuleList(Block(config, index) for index in range(config.n_layers))
        self.final_norm = make_norm(config, config.d_model)
        self.head = None if config.tied else Linear(config.d_model, config.vocab_size, bias=False)
        self._ropes = tuple(dict.fromkeys(layer.rope for layer in config.layers if layer.rope))
        self.recorded: RecordedStep | None = None
        self.captured: CapturedStep | None = None

    @property
    def dtype(self) -> torch.dtype:
        return self.embed.dtype

    @property
    def device(self) -> torch.device:
        return self.embed.device

    def new_cache(
        self, *, capacity: int | None = None, limit: int | None = None, batch: int = 1
    ) -> KVCache:
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
        x = point(tap, "embed", self.embedded(ids, start))
        sights = self.sights(start, count)
        x = self.through_blocks(x, self.rotations(start, count), sights, cache, tap)
        if cache is not None:
            cache.advance(count)
        return x

    def rotations(self, start: int, count: int) -> dict[Rope, Rotation]:
        """Every RoPE that a layer uses, for `count` positions from `start` on."""
        dtype, device = self.dtype, self.device
        return {rope: Rotation(rope, start, count, dtype, device) for rope in self._ropes}

    def sights(self, start: int, count: int) -> dict[int | None, Sight]:
        """What `count` queries from `start` on see, for every window that a layer has."""
        windows = {layer.window for layer in self.config.layers}
        return {window: Sight(start, count, window, self.device) for window in windows}

    def through_blocks(
        self,
        x: Tensor,
        rotations: dict[Rope, Rotation],
        sights: dict[int | None, Sight],
        cache: KVCache | None,
        tap: Tap | None = None,
    ) -> Tensor:
        """Embedded positions (B, T, d_model) -> final-normed states. The cache does not advance."""
        for block, layer in zip(self.blocks, self.config.layers, strict=True):
            rotate = None if layer.rope is None else rotations[layer.rope]
            x = block(x, rotate, sights[layer.window], cache, tap)
        return point(tap, "final_norm", self.final_norm(x))

    def scores(self, hidden: Tensor) -> Tensor:
        """States (..., d_model) times the vocabulary matrix, (..., vocab_size) in fp32."""
        head = self.embed.unembed(hidden) if self.head is None else self.head(hidden, torch.float32)
        return cast(Tensor, head)

    def unembed(self, hidden: Tensor, tap: Tap | None = None) -> Tensor:
        """States (..., d_model) -> logits (..., vocab_size) in fp32."""
        return point(tap, "logits", self.finished(self.scores(hidden)))

    def finished(self, logits: Tensor) -> Tensor:
        """Logits from `scores`: scaled and capped, where the family does that."""
        if self.config.logit_scale != 1:
            logits = logits * self.config.logit_scale
        return soft_cap(logits, self.config.logit_softcap)

    def forward(self, ids: Tensor, cache: KVCache | None = None, tap: Tap | None = None) -> Tensor:
        """Logits of every position, (B, T, vocab_size): for scoring, training and tests."""
        return self.unembed(self.hidden(ids, cache, tap), tap)

    def embedded(self, ids: Tensor, start: int | Tensor) -> Tensor:
        """What the first block reads of ids (B, T), the first of which stands at `start`: in a
        tensor (1,), where the device alone knows it, for T = 1."""
        x: Tensor = self.embed(ids)
        if self.config.embedding_scale != 1:
            x = ops.scaled(x, self.config.embedding_scale)
        if self.positions is None:
            return x
        if ids.numel() == 1 and isinstance(start, int) and x.is_cpu:
            return ops.add(x, self.positions.at(start, x.dtype).view(x.shape), 1.0)
        rows = slice(start, start + ids.shape[1]) if isinstance(start, int) else start
        return x + self.positions.weight[rows].to(x.dtype)

"""Causal self-attention over a KV cache: grouped heads, windows, norms of q and k, soft caps.

It knows nothing of the block around it. `Sight` says which positions a pass may look at.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from llmcli.core import ops
from llmcli.core.cache import KVCache
from llmcli.core.config import ModelConfig
from llmcli.core.linear import Linear
from llmcli.core.norm import make_norm
from llmcli.core.rope import Rotation
from llmcli.core.tap import Tap, point


@dataclass(frozen=True)
class Sight:
    """What one pass needs to know of positions: T queries behind `start` others, of which each
    sees the last `window` (None: all). `position` (1,) is there where the device alone knows it:
    then there is one query, over `room` positions."""

    start: int
    count: int
    window: int | None
    device: torch.device
    position: Tensor | None = None
    room: int = 0

    @classmethod
    def at(cls, position: Tensor, room: int, window: int | None) -> "Sight":
        """One query at the position that is held on the device, over `room` positions."""
        return cls(0, 1, window, position.device, position, room)

    @cached_property
    def mask(self) -> Tensor | None:
        """(T, S), True where a query sees; None where plain causality says it all. Made when it is
        first asked for: native attention does not."""
        if self.position is not None:
            keys = torch.arange(self.room, device=self.device)
            return _seen(self.position.unsqueeze(1), keys, self.window)
        narrow = self.window is not None and self.start + self.count > self.window
        # One query needs no mask: what it may not see is cut off the cache's front. From position
        # 0 on, SDPA's own causality is enough.
        if self.count == 1 or (self.start == 0 and not narrow):
            return None
        return _mask(self.start, self.count, self.window if narrow else None, self.device)

    def explicit(self) -> Tensor:
        """The mask written out, (T, S), for those who need one anyway."""
        if self.mask is not None:
            return self.mask
        return _mask(self.start, self.count, self.window, self.device)


class Attention(nn.Module):
    """`n_heads` queries share `n_kv_heads` keys and values."""

    def __init__(self, config: ModelConfig, index: int) -> None:
        super().__init__()
        self.index = index
        self.n_kv_heads, self.d_head = config.n_kv_heads, config.d_head
        self.n_groups = config.n_heads // config.n_kv_heads
        self.scale, self.softcap = config.attention_scale, config.attention_softcap
        self.widths = [config.d_q, config.d_kv, config.d_kv]
        self.qkv = Linear(config.d_model, sum(self.widths), bias=config.qkv_bias)
        self.out = Linear(config.d_q, config.d_model, bias=config.out_bias)
        self.norm_all = config.qk_norm == "all_heads"
        self.normed = config.qk_norm != "none"
        widths = self.widths if self.norm_all else [config.d_head, config.d_head]
        self.q_norm = make_norm(config, widths[0]) if self.normed else nn.Identity()
        self.k_norm = make_norm(config, widths[1]) if self.normed else nn.Identity()

    def forward(
        self,
        x: Tensor,
        rotate: Rotation | None,
        sight: Sight,
        cache: KVCache | None,
        tap: Tap | None,
    ) -> Tensor:
        """x (B, T, d_model) -> (B, T, d_model)."""
        qkv = self.qkv(x)
        if cache is not None and tap is None and ops.can_attend(qkv, self.d_head):
            return cast(Tensor, self.out(self._mix_natively(qkv, rotate, sight, cache)))
        name = f"blocks.{self.index}.attn"
        q, k, v = qkv.split(self.widths, dim=-1)
        if self.norm_all:
            q, k = self.q_norm(q), self.k_norm(k)
        q, k, v = (part.unflatten(-1, (-1, self.d_head)) for part in (q, k, v))  # (B, T, heads, D)
        if not self.norm_all:
            q, k = self.q_norm(q), self.k_norm(k)
        q, k, v = point(tap, f"{name}.q", q), point(tap, f"{name}.k", k), point(tap, f"{name}.v", v)
        if rotate is not None:
            q, k = rotate(q), rotate(k)
        q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
        if cache is not None:
            k, v = self._remember(k, v, sight, cache)  # (B, K, S, D)
        explicit = tap is not None or self.softcap is not None
        z = self._mix_explicit(q, k, v, sight, tap) if explicit else self._mix(q, k, v, sight)
        z = point(tap, f"{name}.z", z.transpose(1, 2))  # (B, T, H, D)
        return cast(Tensor, self.out(z.flatten(2)))

    def _mix_natively(
        self, qkv: Tensor, rotate: Rotation | None, sight: Sight, cache: KVCache
    ) -> Tensor:
        """All heads side by side, (1, T, H * D), by the native kernel."""
        q, k, v = torch.split(qkv[0], self.widths, dim=-1)
        if self.normed and self.norm_all:
            q, k = self.q_norm(q.contiguous()), self.k_norm(k.contiguous())
        elif self.normed:
            q = self.q_norm(q.contiguous().view(-1, self.d_head)).view(q.shape)
            k = self.k_norm(k.contiguous().view(-1, self.d_head)).view(k.shape)
        return ops.attend(
            q,
            k,
            v,
            None if rotate is None else rotate.cos,
            None if rotate is None else rotate.sin,
            cache,
            self.index,
            window=sight.window,
            scale=self.scale,
            softcap=self.softcap,
        )

    def _remember(
        self, k: Tensor, v: Tensor, sight: Sight, cache: KVCache
    ) -> tuple[Tensor, Tensor]:
        """Write new keys and values to the cache -> all that the queries may look at."""
        if sight.position is None:
            return cache.append(self.index, k, v)
        return cache.write(self.index, k, v, sight.position, sight.room)

    def _mix(self, q: Tensor, k: Tensor, v: Tensor, sight: Sight) -> Tensor:
        if sight.count == 1:
            if sight.window is not None and sight.position is None:
                k, v = k[:, :, -sight.window :], v[:, :, -sight.window :]
            # The query heads of a group are rows of one query matrix: keys are read once for all.
            grouped = q.reshape(q.shape[0], self.n_kv_heads, -1, self.d_head)
            z = F.scaled_dot_product_attention(
                grouped, k, v, attn_mask=sight.mask, scale=self.scale
            )
            return z.flatten(1, 2).unsqueeze(2)
        return F.scaled_dot_product_attention(
            q,
            k,
            v,
            attn_mask=sight.mask,
            is_causal=sight.mask is None,
            scale=self.scale,
            enable_gqa=self.n_groups > 1,
        )

    def _mix_explicit(
        self, q: Tensor, k: Tensor, v: Tensor, sight: Sight, tap: Tap | None
    ) -> Tensor:
        """The same with every step in the open: scores, soft cap, and the softmax's pattern."""
        name = f"blocks.{self.index}.attn"
        k = k.repeat_interleave(self.n_groups, dim=1)
        v = v.repeat_interleave(self.n_groups, dim=1)
        scores = soft_cap((q @ k.transpose(-1, -2)) * self.scale, self.softcap)
        scores = scores.masked_fill(~sight.explicit(), float("-inf"))
        scores = point(tap, f"{name}.scores", scores)
        pattern = torch.softmax(scores, dim=-1, dtype=torch.float32).to(q.dtype)
        return point(tap, f"{name}.pattern", pattern) @ v


def soft_cap(x: Tensor, cap: float | None) -> Tensor:
    """cap * tanh(x / cap): within +-cap, near the identity around 0 (arXiv:2408.00118)."""
    return x if cap is None else cap * torch.tanh(x / cap)


def _mask(start: int, count: int, window: int | None, device: torch.device) -> Tensor:
    """(count, start + count), True where query `start + row` sees position `column`."""
    queries = torch.arange(start, start + count, device=device).unsqueeze(1)
    return _seen(queries, torch.arange(start + count, device=device), window)


def _seen(queries: Tensor, keys: Tensor, window: int | None) -> Tensor:
    """(queries, keys), from positions (queries, 1) and (keys,)."""
    seen = keys <= queries
    return seen if window is None else seen & (keys > queries - window)

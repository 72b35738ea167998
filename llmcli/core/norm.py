"""Normalisation: RMSNorm and LayerNorm, statistics and parameters in fp32 whatever comes in.

It knows nothing of where a norm stands.
"""

import torch
from torch import Tensor, nn

from llmcli.core import ops
from llmcli.core.config import ModelConfig


class RMSNorm(nn.Module):
    """x / rms(x) * weight, over the last dimension (arXiv:1910.07467)."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return ops.norm(x, self.weight, None, self.eps)


class LayerNorm(nn.Module):
    """(x - mean) / sd * weight + bias, over the last dimension (arXiv:1607.06450)."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        return ops.norm(x, self.weight, self.bias, self.eps)


def make_norm(config: ModelConfig, width: int) -> nn.Module:
    """A norm of the config's kind over `width` numbers."""
    kind = RMSNorm if config.norm == "rms" else LayerNorm
    return kind(width, config.norm_eps)

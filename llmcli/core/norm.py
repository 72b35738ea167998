"""Normalisation: RMSNorm and LayerNorm, statistics and parameters in fp32 whatever comes in.

It knows nothing of where a norm stands.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from llmcli.core.config import ModelConfig


class RMSNorm(nn.Module):
    """x / rms(x) * weight, over the last dimension (arXiv:1910.07467)."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        normed = F.rms_norm(x.float(), self.weight.shape, self.weight.float(), self.eps)
        return normed.to(x.dtype)


class LayerNorm(nn.Module):
    """(x - mean) / sd * weight + bias, over the last dimension (arXiv:1607.06450)."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self.weight.float(), self.bias.float()
        return F.layer_norm(x.float(), weight.shape, weight, bias, self.eps).to(x.dtype)


def make_norm(config: ModelConfig, width: int) -> nn.Module:
    """A norm of the config's kind over `width` numbers."""
    kind = RMSNorm if config.norm == "rms" else LayerNorm
    return kind(width, config.norm_eps)

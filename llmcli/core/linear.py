"""Matrices of the model: linear maps and the embedding table, allocated but not initialised.

Whoever builds a decoder fills it, from a checkpoint or as training wants it. They know nothing of
where they stand in the model.
"""

from torch import nn


class Linear(nn.Linear):
    """y = x W^T + b, weight (out_features, in_features)."""

    def reset_parameters(self) -> None:
        """Nothing: initial values would be drawn only to be replaced, at the price of seconds."""


class Embedding(nn.Embedding):
    """A row for each id, weight (vocab_size, d_model)."""

    def reset_parameters(self) -> None:
        """Nothing, as for `Linear`."""

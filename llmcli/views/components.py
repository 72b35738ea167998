"""Parameters by component, each with the formula that gives its count, and the model's totals.

It works from the named tensors of `inventory`; it knows nothing of files or of looks.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from llmcli.views.inventory import StoredTensor

COMPONENTS = (
    "embeddings",
    "positions",
    "attention",
    "mlp",
    "norms",
    "lm_head",
    "buffers",
    "other",
)


@dataclass(frozen=True)
class Component:
    """One row of the table: the values stored for it, and their share of all that is stored."""

    component: str
    formula: str | None
    parameters: int
    share: float


@dataclass(frozen=True)
class Totals:
    """Counts of the whole model.

    `parameters`: every weight once. `stored_parameters`: all values in the files, with buffers and
    with the copy of a tied head. `non_embedding_parameters`: without token and position tables and
    without the lm_head, which is one too (Kaplan et al. 2020, arXiv:2001.08361). `bytes`: all
    tensors in the files.
    """

    tensors: int
    parameters: int
    stored_parameters: int
    non_embedding_parameters: int
    bytes: int


def count_components(
    tensors: Sequence[StoredTensor], *, tied: bool | None
) -> tuple[Component, ...]:
    """A row per component in the order of `COMPONENTS`, those without tensors left out, but for a
    tied head, which is there and stores nothing. `tied` is None where there is no config."""
    total = sum(tensor.parameters for tensor in tensors)
    every: dict[str, list[StoredTensor]] = {component: [] for component in COMPONENTS}
    for tensor in tensors:
        every[tensor.component].append(tensor)
    rows = []
    for component, members in every.items():
        if not members and not (component == "lm_head" and tied):
            continue
        text: str | None
        if component == "lm_head" and tied:
            text = "copy of W_E, not read" if members else "reuses W_E"
        else:
            text = None if component == "other" else formula(members)
        count = sum(tensor.parameters for tensor in members)
        rows.append(Component(component, text, count, count / total if total else 0.0))
    return tuple(rows)


def count_totals(
    tensors: Sequence[StoredTensor], components: Iterable[Component], *, tied: bool | None
) -> Totals:
    """The counts that `Totals` defines; `components` are the rows of the same tensors."""
    stored = sum(tensor.parameters for tensor in tensors)
    count = Counter({row.component: row.parameters for row in components})
    unique = stored - count["buffers"] - (count["lm_head"] if tied else 0)
    head = 0 if tied else count["lm_head"]
    return Totals(
        tensors=len(tensors),
        parameters=unique,
        stored_parameters=stored,
        non_embedding_parameters=unique - count["embeddings"] - count["positions"] - head,
        bytes=sum(tensor.bytes for tensor in tensors),
    )


def formula(tensors: Iterable[StoredTensor]) -> str:
    """How the shapes give the count: `30 × (2·576·576 + 2·192·576) + 576`.

    Layers of equal shapes are one product; a matrix and one of transposed shape are one term.
    """
    layers: dict[int | None, Counter[tuple[int, ...]]] = {}
    spelled: dict[tuple[int, ...], str] = {}
    for tensor in tensors:
        if tensor.parameter_shape is None:
            continue
        key = tuple(sorted(tensor.parameter_shape))
        spelled.setdefault(key, "·".join(map(str, tensor.parameter_shape)) or "1")
        layers.setdefault(tensor.layer, Counter())[key] += 1
    alone = layers.pop(None, Counter())
    repeats = Counter(tuple(sorted(terms.items())) for terms in layers.values())

    rank = {key: place for place, key in enumerate(spelled)}

    def spell(terms: Iterable[tuple[tuple[int, ...], int]]) -> list[str]:
        ranked = sorted(terms, key=lambda term: rank[term[0]])
        return [f"{n}·{spelled[key]}" if n > 1 else spelled[key] for key, n in ranked]

    parts = []
    for layer_terms, n_layers in repeats.items():
        inside = spell(layer_terms)
        text = " + ".join(inside)
        if n_layers > 1:
            text = f"{n_layers} × ({text})" if len(inside) > 1 else f"{n_layers} × {text}"
        parts.append(text)
    return " + ".join(parts + spell(alone.items()))

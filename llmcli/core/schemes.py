"""How matrices are rounded to whole numbers. No torch here: reports and checks name schemes too."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Name = Literal["int8", "int4"]


@dataclass(frozen=True)
class PackScheme:
    """Codes of `bits`, a scale for every `group` columns of a row (None: for the row), the zero
    point in the middle."""

    bits: int
    group: int | None


SCHEMES: Mapping[Name, PackScheme] = {"int8": PackScheme(8, None), "int4": PackScheme(4, 32)}

"""generation_config.json -> the sampling settings that the model's authors recommend.

It knows the file's spellings and ranges, and nothing of how sampling works.
"""

import math
from pathlib import Path

from llmcli.checkpoint.json_file import read_optional_json_object
from llmcli.checkpoint.settings import Settings

FILE = "generation_config.json"


def read_sampling_defaults(folder: Path) -> dict[str, float | int]:
    """Only what the file gives, under the names of `SamplingSpec`; empty where there is no file.

    `do_sample: false` is temperature 0, whatever temperature stands beside it. Raises
    InvalidModelError with the file, the key and the value.
    """
    file = folder / FILE
    settings = Settings(read_optional_json_object(file) or {}, {}, file)
    given: dict[str, float | int] = {}
    if settings.has("temperature"):
        given["temperature"] = settings.number("temperature")
    if settings.has("top_k"):
        given["top_k"] = settings.integer("top_k", least=0)
    if settings.has("top_p"):
        given["top_p"] = _number(settings, "top_p", most=1, above_zero=True)
    if settings.has("min_p"):
        given["min_p"] = _number(settings, "min_p", most=1)
    if settings.has("repetition_penalty"):
        given["repetition_penalty"] = _number(settings, "repetition_penalty", above_zero=True)
    if settings.has("do_sample") and not settings.boolean("do_sample"):
        given["temperature"] = 0.0
    return given


def _number(
    settings: Settings, key: str, *, most: float = math.inf, above_zero: bool = False
) -> float:
    value = settings.number(key)
    if value > most:
        raise settings.error(key, f"must be at most {most:g}, not {value:g}")
    if above_zero and value == 0:
        raise settings.error(key, "must be above 0")
    return value

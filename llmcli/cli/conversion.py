"""Which values of options need converting: Typer's conversion imports pydantic, which takes 0.1 s.

It knows nothing of the options themselves.
"""

import os
import re
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

# What everybody reads as the same number; any other spelling is for pydantic to judge.
_NUMBERS = {
    int: re.compile(r"-?[0-9]{1,15}"),
    float: re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,20})?([eE]-?[0-9]{1,2})?"),
}


def converted_where_needed(parameters: list[Any]) -> list[Any]:
    """The same parameters of a command, which from now on leave to Typer's conversion only what is
    not plain: nothing given, a text, a number in its range and a readable file need none."""
    for parameter in parameters:
        if "process_value" not in vars(parameter):
            parameter.process_value = _process(parameter)
    return parameters


def _process(parameter: Any) -> Any:
    convert = parameter.process_value

    def process(context: Any, value: Any) -> Any:
        plain = ... if value is None and parameter.required else _plain(parameter, value)
        if plain is ...:
            return convert(context, value)
        if parameter.callback is None:
            return plain
        return parameter.callback(context, parameter, plain)

    return process


def _plain(parameter: Any, value: Any) -> Any:
    """What Typer makes of a plain value, and `...` of any other."""
    annotation: Any = parameter.type_descriptor.annotation
    if value is None:
        return () if parameter.multiple or parameter.nargs == -1 else None
    if annotation in _NUMBERS:
        return _number(annotation, value, parameter.type_descriptor.parameter_info)
    if get_origin(annotation) is list and isinstance(value, (list, tuple)):
        texts = annotation == list[str] and all(type(item) is str for item in value)
        return list(value) if texts or not value else ...
    if type(value) is str:
        if annotation is Path and os.access(value, os.R_OK):
            return Path(value)
        if get_origin(annotation) is Literal:
            return value if value in get_args(annotation) else ...
    return value if type(value) is annotation else ...


def _number(kind: Any, value: Any, limits: Any) -> Any:
    if type(value) is int or (type(value) is str and _NUMBERS[kind].fullmatch(value)):
        value = kind(value)
    if type(value) is not kind or limits.clamp:
        return ...
    too_small = limits.min is not None and value < limits.min
    too_large = limits.max is not None and value > limits.max
    return ... if too_small or too_large else value

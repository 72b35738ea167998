"""Options in groups: a dataclass whose fields are options stands as one parameter of a command.

It knows nothing of the options themselves.
"""

import functools
import inspect
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from typing import Any

import typer

SOURCES = {"COMMANDLINE": "flag", "ENVIRONMENT": "variable"}


def with_groups(command: Callable[..., None]) -> Callable[..., None]:
    """`command` as Typer should see it: every dataclass parameter spread out into its fields."""
    signature = inspect.signature(command, eval_str=True)
    groups: dict[str, Any] = {
        name: parameter.annotation
        for name, parameter in signature.parameters.items()
        if is_dataclass(parameter.annotation)
    }

    def spread() -> Iterator[inspect.Parameter]:
        for name, parameter in signature.parameters.items():
            if name in groups:
                yield from inspect.signature(groups[name], eval_str=True).parameters.values()
            else:
                yield parameter

    @functools.wraps(command)
    def run(**arguments: Any) -> None:
        for name, group in groups.items():
            own = {field.name: arguments.pop(field.name) for field in fields(group)}
            arguments[name] = group(**own)
        command(**arguments)

    parameters = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in spread()]
    run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return run


def sources(context: typer.Context) -> dict[str, str]:
    """Where each option that was given came from: `flag` or `variable`."""
    found = {}
    for name in context.params:
        source = context.get_parameter_source(name)
        if source is not None and source.name in SOURCES:
            found[name] = SOURCES[source.name]
    return found

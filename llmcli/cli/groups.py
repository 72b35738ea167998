"""Options in groups: a dataclass whose fields are options stands as one parameter of a command;
and where the value of each option came from.

It knows nothing of the options themselves.
"""

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import typer

FLAG, VARIABLE, CONFIG_FILE = "flag", "variable", "config file"
_SOURCES = {"COMMANDLINE": FLAG, "ENVIRONMENT": VARIABLE, "DEFAULT_MAP": CONFIG_FILE}
_PROFILE = "llmcli.profile"  # in a context's `meta`: option -> `profile NAME`


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
    """Where each option that was given came from: flag, variable, profile NAME or config file."""
    found = ((name, source_of(context, name)) for name in context.params)
    return {name: source for name, source in found if source is not None}


def source_of(context: typer.Context, option: str) -> str | None:
    """The same for one option; None where it was not given."""
    kind = context.get_parameter_source(option)
    source = _SOURCES.get(kind.name) if kind is not None else None
    if source == CONFIG_FILE:
        return str(context.meta.get(_PROFILE, {}).get(option, CONFIG_FILE))
    return source


def use_profile(context: typer.Context, name: str, options: Mapping[str, Any]) -> None:
    """Options that were not given take these values, before those of the config file."""
    context.default_map = {**(context.default_map or {}), **options}
    context.meta[_PROFILE] = dict.fromkeys(options, f"profile {name}")

"""Which values of options need converting: Typer's conversion imports pydantic, which takes 0.1 s.

It knows nothing of the options themselves.
"""

from typing import Any, Literal, get_args, get_origin


def converted_where_needed(parameters: list[Any]) -> list[Any]:
    """The same parameters of a command, which from now on hand to Typer's conversion only what is
    not yet as it should be: nothing given, and text where text is asked for, need none."""
    for parameter in parameters:
        if "process_value" not in vars(parameter):
            parameter.process_value = _process(parameter)
    return parameters


def _process(parameter: Any) -> Any:
    convert = parameter.process_value

    def process(context: Any, value: Any) -> Any:
        if (value is None and parameter.required) or not _fits(parameter, value):
            return convert(context, value)
        if value is None and parameter.multiple:
            value = ()
        return (
            value if parameter.callback is None else parameter.callback(context, parameter, value)
        )

    return process


def _fits(parameter: Any, value: Any) -> bool:
    if value is None or value == ():
        return bool(parameter.nargs in (1, -1))
    annotation: object = parameter.type_descriptor.annotation
    if get_origin(annotation) is Literal:
        return type(value) is str and value in get_args(annotation)
    if type(value) in (int, float) and value != parameter.default:
        return False  # it has a range, perhaps, which the conversion checks
    return type(value) is annotation

"""A profile: a YAML file with a whole set of settings, prompts and examples for one purpose.

It knows the file's layout, and nothing of what the settings do.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any

import typer

from llmcli.cli.file_options import FileOptions, read_settings, shown, unknown_key
from llmcli.cli.groups import use_profile
from llmcli.cli.loading import LoadFlags
from llmcli.cli.sampling_options import SamplingFlags
from llmcli.cli.sampling_settings import nearest
from llmcli.errors import UsageError

Message = dict[str, str]

_SECTIONS = ("model", "sampling", "control", "system_prompt", "system_prompts", "style", "examples")
_PLACE = {each.name for each in fields(LoadFlags)} | {"chat_template_file"}
_SAMPLING = {each.name for each in fields(SamplingFlags)}
# Options that have a section of their own, or that are about one run of the command.
_ELSEWHERE = {"model", "system", "system_prompt_file", "profile", "json", "quiet", "debug"}
_ELSEWHERE |= {"continue_last", "resume", "no_history", "save_kv", "chat", "echo"}
_OTHER_NAMES = {"stop_sequences": "stop"}
_META = "llmcli.profile_file"


@dataclass(frozen=True)
class Profile:
    """`options` are values of command line options; `system` is the system prompt without the
    style. With nothing given, it changes nothing."""

    name: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    system: str | None = None
    prompts: Mapping[str, str] = field(default_factory=dict)
    style: str = ""
    examples: Sequence[Message] = ()

    def system_prompt(self, text: str | None) -> str | None:
        """`text`, `@name` replaced by the prompt of that name, followed by the style; None where
        there is neither. Raises UsageError for a name that no prompt has."""
        if text is not None and text.startswith("@") and len(text.split()) == 1:
            text = self._named(text[1:])
        return "\n\n".join(part for part in (text, self.style) if part) or None

    def _named(self, name: str) -> str:
        if name not in self.prompts:
            hint = "`system_prompts` of a --profile FILE gives prompts their names"
            if self.prompts:
                hint = f"{self.name} has {', '.join(f'@{each}' for each in self.prompts)}"
            raise UsageError(f"there is no prompt @{name}{nearest(name, self.prompts)}", hint=hint)
        return self.prompts[name]


def profile_of(context: typer.Context) -> Profile:
    """The profile of this command line."""
    profile: Profile = context.meta.get(_META, Profile())
    return profile


def _use(context: typer.Context, file: Path | None) -> Path | None:
    if file is None or context.resilient_parsing:
        return file
    from llmcli.cli.app import every_command

    profile = read_profile(file, FileOptions(every_command(), "chat", "generate"))
    use_profile(context, profile.name, profile.options)
    context.meta[_META] = profile
    return file


ProfileOption = Annotated[
    Path | None,
    typer.Option(
        "--profile",
        metavar="FILE.yaml",
        show_default=False,
        is_eager=True,  # it must be read before the options that it gives values to
        callback=_use,
        help="Settings, prompts and examples from a file; options on the command line go over it.",
        rich_help_panel="Sampling, where the model should not decide by itself",
    ),
]


def read_profile(file: Path, options: FileOptions) -> Profile:
    """Raises UsageError with the file, the key and what is wrong with it."""
    text = read_settings(file)
    if text is None:
        raise UsageError(f"{file}: there is no such profile")
    sections = _mapping(_parsed(text, file), file, "the file")
    for name in sections:
        if name not in _SECTIONS:
            raise unknown_key(file, "", name, _SECTIONS)
    prompts = _mapping(sections.get("system_prompts"), file, "system_prompts")
    named = {
        name: _text(prompt, file, f"system_prompts.{name}") for name, prompt in prompts.items()
    }
    system = sections.get("system_prompt")
    return Profile(
        name=file.stem,
        options=_options(sections, file, options),
        system=None if system is None else _text(system, file, "system_prompt"),
        prompts=named,
        style=_style(sections.get("style"), file),
        examples=_examples(sections.get("examples"), file),
    )


def _parsed(text: str, file: Path) -> Any:
    import yaml  # type: ignore[import-untyped]

    class Loader(yaml.SafeLoader):  # type: ignore[misc]
        """Without aliases, by which a short file can stand for an endless one."""

        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                raise yaml.YAMLError("aliases are not supported")
            return super().compose_node(parent, index)

    try:
        return yaml.load(text, Loader)
    except RecursionError:
        raise UsageError(f"{file}: nested too deeply") from None
    except (yaml.YAMLError, ValueError) as error:
        raise UsageError(f"{file}: not valid YAML: {' '.join(str(error).split())}") from None


def _options(sections: Mapping[str, Any], file: Path, known: FileOptions) -> dict[str, Any]:
    """Parameter -> value, from the three sections that hold options."""
    by_name = known.by_name
    sampling = [name for name, each in by_name.items() if each.name in _SAMPLING]
    control = [name for name, each in by_name.items() if each.name not in _PLACE | _ELSEWHERE]
    place = [name for name, each in by_name.items() if each.name in _PLACE]
    model = sections.get("model")
    model = {"name": model} if isinstance(model, str) else _mapping(model, file, "model")
    taken: dict[str, Any] = {}
    for section, names, values in (
        ("model", ["name", *place], model),
        ("sampling", sampling, _mapping(sections.get("sampling"), file, "sampling")),
        ("control", control, _mapping(sections.get("control"), file, "control")),
    ):
        for key, value in values.items():
            name = _OTHER_NAMES.get(key, key.replace("-", "_"))
            if name not in names:
                raise unknown_key(file, f"{section}.", key, names)
            name = "model" if name == "name" else name
            if value is not None:
                parameter, option = known.value(name, value, file, f"{section}.")
                taken[parameter] = option
    return taken


def _style(value: Any, file: Path) -> str:
    """How to answer, as the end of the system prompt: a text, or lines, which may have names."""
    if isinstance(value, Mapping):
        lines = _mapping(value, file, "style").items()
        return "\n".join(f"{name}: {_text(line, file, f'style.{name}')}" for name, line in lines)
    if isinstance(value, list):
        return "\n".join(_text(line, file, "style") for line in value)
    return "" if value is None else _text(value, file, "style")


def _examples(value: Any, file: Path) -> tuple[Message, ...]:
    messages: list[Message] = []
    if value is not None and not isinstance(value, list):
        raise UsageError(f"{file}: examples must be a list, not {shown(value)}")
    for number, pair in enumerate(value or [], 1):
        where = f"examples: number {number}"
        if set(_mapping(pair, file, where)) != {"user", "assistant"}:
            raise UsageError(f"{file}: {where} must have user and assistant, and nothing else")
        for role in ("user", "assistant"):
            text = _text(pair[role], file, f"{where}: {role}")
            messages.append({"role": role, "content": text})
    return tuple(messages)


def _mapping(value: Any, file: Path, where: str) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise UsageError(f"{file}: {where} must be a group of settings, not {shown(value)}")
    for name in value:
        if not isinstance(name, str):
            raise UsageError(f"{file}: {where}: the key {shown(name)} must be a text")
    return value


def _text(value: Any, file: Path, where: str) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise UsageError(f"{file}: {where} must be a text, not {shown(value)}")
    return str(value).strip()

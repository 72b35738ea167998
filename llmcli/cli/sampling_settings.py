"""The settings of one command's answers: each one's value, and where it came from.

It knows how a value is spelled and which source wins; what the settings do is `core.sampling`'s,
and `engine.grammar`'s for what an answer must look like.
"""

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from llmcli.cli.groups import CONFIG_FILE, VARIABLE
from llmcli.cli.one_token import is_id, token_of
from llmcli.cli.sampling_options import SamplingFlags
from llmcli.core.sampling_spec import SamplingSpec
from llmcli.errors import UsageError

if TYPE_CHECKING:
    from llmcli.checkpoint.tokenizer import Tokenizer
    from llmcli.engine.folder import CheckedFolder
    from llmcli.engine.grammar import Grammar, Kind

LARGEST_SEED = 2**63 - 1
LARGEST_COUNT = 2**31 - 1
SETTINGS = tuple(field.name for field in fields(SamplingFlags))
KINDS = ("json_schema", "regex", "grammar")  # of what an answer must look like: one at a time
FORM, BIAS = "form", "logit_bias"


@dataclass(frozen=True)
class Setting:
    """A value, and where it came from: flag, variable, profile NAME, /set, session, config file,
    model or default."""

    value: Any
    source: str


class SamplingSettings:
    """All settings of one command, which a chat may change as it goes."""

    def __init__(
        self,
        flags: SamplingFlags,
        sources: Mapping[str, str],
        model: Mapping[str, Any],
        tokenizer: "Tokenizer",
        vocab_size: int,
    ) -> None:
        """`sources` as of `groups.sources`; `model` is what generation_config.json recommends."""
        self._tokenizer, self._vocab_size = tokenizer, vocab_size
        self._lowest = {name: Setting(value, "model") for name, value in model.items()}
        self._session: dict[str, Setting] = {}
        self._chosen: dict[str, Setting] = {}
        self._spelled: dict[int, str] = {}  # tokens with a bias, as they were given
        for field in fields(flags):
            value = getattr(flags, field.name)
            if value is not None and value != []:
                source = sources.get(field.name, "flag")
                layer = self._lowest if source == CONFIG_FILE else self._chosen
                layer[field.name] = Setting(self._from_flag(field.name, value), source)

    @classmethod
    def of(
        cls, flags: SamplingFlags, sources: Mapping[str, str], checked: "CheckedFolder"
    ) -> "SamplingSettings":
        """The options over what the model's generation_config.json recommends.

        Raises UsageError for a value out of its range.
        """
        from llmcli.checkpoint.generation_config import read_sampling_defaults

        model = read_sampling_defaults(checked.folder)
        size = checked.description.config.vocab_size
        settings = cls(flags, sources, model, checked.tokenizer, size)
        settings.spec()
        return settings

    @property
    def stop(self) -> tuple[str, ...]:
        """Texts that end an answer."""
        given = self._given().get("stop")
        return () if given is None else given.value

    @property
    def max_tokens(self) -> int | None:
        """The most tokens of an answer, if there is such a limit."""
        given = self._given().get("max_tokens")
        return None if given is None else given.value

    @property
    def form(self) -> Setting | None:
        """What answers must look like, a Grammar; None where they are free."""
        given = self._given().get(FORM)
        return given if given is not None and given.value is not None else None

    @property
    def grammar(self) -> "Grammar | None":
        """The same without its source."""
        return None if self.form is None else self.form.value

    def hold_to(self, grammar: "Grammar | None", source: str) -> None:
        """From now on answers look like this, or are free."""
        layer = self._lowest if source == CONFIG_FILE else self._chosen
        layer[FORM] = Setting(grammar, source)

    def leave_out_form(self) -> None:
        """That of the session is not taken."""
        self._session.pop(FORM, None)

    def spec(self) -> SamplingSpec:
        """What the sampler takes. Raises UsageError for a value out of its range."""
        return _spec(self._given())

    def table(self) -> dict[str, Setting]:
        """Every setting, also those that nobody chose."""
        spec = self.spec()
        known = {field.name: getattr(spec, field.name) for field in fields(spec)}
        known |= {"stop": self.stop, "max_tokens": self.max_tokens}
        given = self._given()
        return {name: given.get(name, Setting(value, "default")) for name, value in known.items()}

    def set(self, name: str, text: str) -> None:
        """Change one setting from now on; `default` forgets what was chosen for it.

        Raises UsageError, and changes nothing, for a name or value that cannot be.
        """
        name = setting_name(name)
        chosen, session = {**self._chosen}, {**self._session}
        if text == "default":
            chosen.pop(name, None)
            session.pop(name, None)
        else:
            chosen[name] = Setting(self._read(name, text), "/set")
        _spec(self._lowest | session | chosen)
        self._chosen, self._session = chosen, session

    def chosen_here(self) -> dict[str, Any]:
        """What was chosen for this chat, and not by variables or the config file for all of them;
        ready for JSON, and for `restore`."""
        found: dict[str, Any] = {}
        for name, setting in (self._session | self._chosen).items():
            if setting.source == VARIABLE:
                continue
            if name == FORM:
                found |= {} if setting.value is None else {setting.value.kind: setting.value.text}
            else:
                found[name] = self._biases_as_given(setting) if name == BIAS else setting.value
        return found

    def restore(
        self, values: Mapping[str, Any], notice: Callable[[str], None], *, foreign: bool
    ) -> None:
        """Take what `chosen_here` gave in an earlier chat in place of what `restore` took before;
        flags, variables and the profile go over it. `foreign`: that chat had another model, whose
        biases are taken as by `with_model`.

        Raises UsageError, and changes nothing, for what cannot be.
        """
        session = {}
        for name, value in values.items():
            if name in KINDS:
                session[FORM] = Setting(_grammar(cast("Kind", name), value), "session")
            elif name not in SETTINGS:
                raise UsageError(f"there is no setting {name[:40]!r}")
            elif name == BIAS and foreign and isinstance(value, dict):
                session[name] = Setting(self._translated(value, notice), "session")
            else:
                session[name] = Setting(self._from_session(name, value), "session")
        _spec(self._lowest | session | self._chosen)
        self._session = session

    def _given(self) -> dict[str, Setting]:
        return self._lowest | self._session | self._chosen

    def _from_session(self, name: str, value: Any) -> Any:
        if name == "stop" and isinstance(value, list):
            if all(isinstance(text, str) for text in value):
                return tuple(value)
        elif name == BIAS and isinstance(value, dict):
            return self._biases([f"{token}={bias}" for token, bias in value.items()])
        elif name not in ("stop", BIAS) and type(value) in (int, float):
            return self._read(name, str(value))
        raise UsageError(f"{name} cannot be that")

    def with_model(
        self, checked: "CheckedFolder", notice: Callable[[str], None]
    ) -> "SamplingSettings":
        """The same choices for another model. Biases of texts are for the tokens that these are
        there; `notice` is told of those that are left out, ids among them, which mean others.

        Raises UsageError where what answers must look like cannot be made of its tokens.
        """
        if self.grammar is not None:
            size = checked.description.config.vocab_size
            try:
                self.grammar.check(checked.tokenizer, size, checked.stop_ids)
            except UsageError as error:
                raise UsageError(
                    f"{checked.name} cannot answer in this form: {error}",
                    hint="/json off ends the form; then /model again",
                ) from None
        twin = SamplingSettings.of(SamplingFlags(), {}, checked)

        def taken(layer: Mapping[str, Setting]) -> dict[str, Setting]:
            found = {**layer}
            if BIAS in layer:
                biases = twin._translated(self._biases_as_given(layer[BIAS]), notice)
                found[BIAS] = Setting(biases, layer[BIAS].source)
            return found

        config = {name: s for name, s in self._lowest.items() if s.source == CONFIG_FILE}
        twin._lowest |= taken(config)
        twin._session, twin._chosen = taken(self._session), taken(self._chosen)
        return twin

    def _biases_as_given(self, setting: Setting) -> dict[str, float]:
        return {self._spelled[token]: bias for token, bias in setting.value.items()}

    def _translated(
        self, biases: Mapping[str, Any], notice: Callable[[str], None]
    ) -> dict[int, float]:
        """Biases that were given for another vocabulary."""
        found: dict[int, float] = {}
        lost = []
        for text, bias in biases.items():
            try:
                if is_id(text):
                    raise UsageError("the id of another token")
                found |= self._biases([f"{text}={bias}"])
            except UsageError:
                lost.append(repr(text))
        if lost:
            notice(f"logit biases left out: {', '.join(lost)} would be other tokens here")
        return found

    def _read(self, name: str, text: str) -> Any:
        if name == "stop":
            return (text,)
        if name == BIAS:
            return self._biases(text.split())
        return _READERS[name](name, text)

    def _from_flag(self, name: str, value: Any) -> Any:
        if name == BIAS:
            return self._biases(value)
        if name == "seed":
            return _READERS[name](name, str(value))
        return tuple(value) if name == "stop" else value

    def _biases(self, texts: Sequence[str]) -> dict[int, float]:
        return dict(map(self._bias, texts))

    def _bias(self, text: str) -> tuple[int, float]:
        token, equals, bias = text.rpartition("=")
        try:
            if not equals or not token:
                raise ValueError
            value = float(bias)
        except ValueError:
            raise UsageError(f"logit bias must be TOKEN=NUMBER, not {text!r}") from None
        try:
            number = token_of(token, self._tokenizer, self._vocab_size)
        except UsageError as error:
            raise UsageError(f"logit bias: {error}", hint=error.hint) from None
        self._spelled[number] = token
        return number, value


def nearest(name: str, known: Iterable[str]) -> str:
    """`; did you mean ...?`, or nothing where no known name comes near."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""


def setting_name(text: str) -> str:
    """A setting's name as it is typed. Raises UsageError for one that there is not."""
    name = text.lstrip("-").replace("-", "_")
    if name not in SETTINGS:
        raise UsageError(
            f"there is no setting {text[:40]!r}{nearest(name, SETTINGS)}", hint="/set lists them"
        )
    return name


def _grammar(kind: "Kind", text: Any) -> "Grammar":
    from llmcli.engine.grammar import Grammar

    if not isinstance(text, str):
        raise UsageError(f"{kind} must be a text")
    return Grammar.read(kind, text)


def _spec(settings: Mapping[str, Setting]) -> SamplingSpec:
    names = {field.name for field in fields(SamplingSpec)}
    return SamplingSpec(**{name: s.value for name, s in settings.items() if name in names})


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"{name} must be a number, not {text!r}") from None


def _count(name: str, text: str, *, least: int = -LARGEST_COUNT, most: int = LARGEST_COUNT) -> int:
    try:
        value = int(text)
    except ValueError:
        raise UsageError(f"{name} must be a whole number, not {text[:40]!r}") from None
    if not least <= value <= most:
        raise UsageError(f"{name} must be from {least} to {most}, not {value}")
    return value


# Ranges that the sampler checks itself are left to it.
_READERS: Mapping[str, Callable[[str, str], Any]] = {
    "temperature": _number,
    "top_k": _count,
    "top_p": _number,
    "min_p": _number,
    "repetition_penalty": _number,
    "repeat_last_n": _count,
    "frequency_penalty": _number,
    "presence_penalty": _number,
    "seed": partial(_count, least=0, most=LARGEST_SEED),
    "max_tokens": partial(_count, least=1),
}

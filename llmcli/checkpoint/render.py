"""Renders one chat template, in a process of its own; the program that a model folder brings along.

It knows nothing of folders or tokens, and imports nothing of llmcli: it runs as a file. A template
can loop without end and allocate without end in ways that no sandbox within a process can stop
(`range` in `range`, `'a' * 10**10`, lists that hold themselves a thousandfold). So the sandbox is
only the first wall; the second is a process that may be killed, with its memory limited.

Protocol: one JSON document a line. In: `{"template"}` once, then `{"variables", "now"}`, each
answered by `{"text"}` or `{"error", "message"}`; the template by its `{"text"}` literals and the
`{"variables"}` that it reads, each joined by NUL.
"""

import json
import sys
from collections.abc import Callable
from datetime import datetime
from typing import Any

import jinja2
import jinja2.ext
import jinja2.meta
import jinja2.nodes
import jinja2.sandbox
from jinja2.parser import Parser

MEMORY_BYTES = 512 * 1024 * 1024
CPU_SECONDS = 20  # only for the case that nobody is left to kill this process
OUTPUT_CHARACTERS = 16 * 1024 * 1024


class RaisedError(Exception):
    """The template called `raise_exception`."""


class Generation(jinja2.ext.Extension):
    """`{% generation %}` marks the assistant's words for training; its body renders as it is."""

    tags = {"generation"}  # noqa: RUF012 (jinja2 declares it so)

    def parse(self, parser: Parser) -> jinja2.nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        call = self.call_method("_body")
        return jinja2.nodes.CallBlock(call, [], [], body).set_lineno(line)

    def _body(self, caller: Callable[[], str]) -> str:
        return caller()


class Dict:
    """`dict()` without the class behind it, from which all other classes could be reached."""

    def __call__(self, *args: Any, **kwargs: Any) -> dict[Any, Any]:
        return dict(*args, **kwargs)

    def fromkeys(self, *args: Any) -> dict[Any, Any]:
        return dict.fromkeys(*args)


class Namespace(jinja2.utils.Namespace):
    """`namespace()` that takes no underscored names, which could lead out of the sandbox."""

    def __init__(*args: Any, **kwargs: Any) -> None:
        self, *rest = args  # so that a template may call an attribute `self`
        for name in (values := dict(*rest, **kwargs)):
            _check_name(name)
        jinja2.utils.Namespace.__init__(self, values)

    def __setitem__(self, name: str, value: Any) -> None:
        _check_name(name)
        super().__setitem__(name, value)


def _check_name(name: object) -> None:
    if isinstance(name, str) and name.startswith("_"):
        raise jinja2.exceptions.SecurityError(f"{name!r} is not allowed on a namespace")


def compile_template(
    source: str, now: Callable[[], datetime]
) -> tuple[jinja2.Template, list[str], set[str]]:
    """The template, all texts that it holds itself, and the names of the variables that it reads.

    The same environment as `apply_chat_template` of transformers has, so that what renders there
    renders here, byte for byte.
    """
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=[Generation, "jinja2.ext.loopcontrols"],
    )
    environment.filters["tojson"] = to_json
    environment.globals |= {
        "raise_exception": raise_exception,
        "strftime_now": lambda format: now().strftime(format),
        "dict": Dict(),
        "namespace": Namespace,
    }
    tree = environment.parse(source)
    literals = [node.data for node in tree.find_all(jinja2.nodes.TemplateData)]
    constants = [node.value for node in tree.find_all(jinja2.nodes.Const)]
    literals += [value for value in constants if isinstance(value, str)]
    variables = jinja2.meta.find_undeclared_variables(tree)
    return environment.from_string(source), literals, variables


def to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """`|tojson` without the escapes for HTML that jinja2's own adds."""
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
    )


def raise_exception(message: str) -> None:
    """How a template refuses a conversation."""
    raise RaisedError(message)


def render(template: jinja2.Template, variables: dict[str, Any]) -> str:
    """The rendered text; raises MemoryError when it grows beyond `OUTPUT_CHARACTERS`."""
    parts, length = [], 0
    for part in template.generate(variables):
        parts.append(part)
        length += len(part)
        if length > OUTPUT_CHARACTERS:
            raise MemoryError
    return "".join(parts)


def answer(action: Callable[[], str]) -> dict[str, str]:
    """What `action` gives, or the kind of its failure and a message in one line."""
    try:
        return {"text": action()}
    except RaisedError as error:
        return {"error": "raised", "message": str(error)}
    except jinja2.TemplateSyntaxError as error:
        return {"error": "syntax", "message": f"line {error.lineno}: {error.message}"}
    except MemoryError:
        return {"error": "limit", "message": "it asks for too much memory"}
    except RecursionError:
        return {"error": "limit", "message": "it calls itself without end"}
    except Exception as error:  # noqa: BLE001 (a template can raise whatever Python can)
        return {"error": "failed", "message": str(error) or type(error).__name__}


def limit_process() -> None:
    """Memory for this process; only where the system can."""
    try:
        import resource
    except ImportError:
        return
    for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA):
        try:
            resource.setrlimit(kind, (MEMORY_BYTES, MEMORY_BYTES))
        except (ValueError, OSError):
            continue


def allow_seconds(seconds: int) -> None:
    """Processor time from now on; the system ends the process after that."""
    try:
        import resource
    except ImportError:
        return
    usage = resource.getrusage(resource.RUSAGE_SELF)
    spent = int(usage.ru_utime + usage.ru_stime) + 1
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(resource.RLIMIT_CPU, (spent + seconds, hard))


class Renderer:
    """Holds the template between requests."""

    def __init__(self) -> None:
        self._now = datetime.now()
        self._template = jinja2.Template("")
        self._variables = ""

    def handle(self, request: dict[str, Any]) -> dict[str, str]:
        """One request of the protocol -> its reply."""
        if "template" in request:
            reply = answer(lambda: self._load(request["template"]))
            return reply | {"variables": self._variables} if "text" in reply else reply
        self._now = datetime.fromisoformat(request["now"])
        return answer(lambda: render(self._template, request["variables"]))

    def _load(self, source: str) -> str:
        self._template, literals, variables = compile_template(source, lambda: self._now)
        self._variables = "\0".join(sorted(variables))
        return "\0".join(literals)


def serve() -> None:
    """Answer requests, line by line, until nobody asks any more."""
    limit_process()
    renderer = Renderer()
    for line in sys.stdin:
        allow_seconds(CPU_SECONDS)
        sys.stdout.write(json.dumps(renderer.handle(json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    serve()

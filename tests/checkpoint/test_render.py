"""Rendering equals the reference library's, byte for byte; no template leaves the sandbox."""

import json
from datetime import datetime
from pathlib import Path

import pytest

from llmcli.checkpoint.render import Renderer

PUBLISHED = Path(__file__).parents[2].parent / "shared" / "data" / "chat_templates.json"
NOW = datetime(2025, 7, 10, 12)
CONVERSATION = [
    {"role": "system", "content": "  Be brief. <b>&amp;'\"  "},
    {"role": "user", "content": "naïve 日本 🙂\nsecond line"},
    {"role": "assistant", "content": "Yes."},
]


def reply(source, **variables):
    renderer = Renderer()
    loaded = renderer.handle({"template": source})
    if "text" not in loaded:
        return loaded
    return renderer.handle({"variables": variables, "now": NOW.isoformat()})


def published():
    return json.loads(PUBLISHED.read_text(encoding="utf-8")) if PUBLISHED.is_file() else {}


@pytest.mark.parametrize("name", published())
def test_published_templates_render_as_published(name):
    case = published()[name]
    data = dict(case["data"])
    if name.startswith("MadeAgents/"):  # it expects its tools as JSON text
        data["tools"] = json.dumps(data["tools"])
    assert reply(case["chat_template"], **data) == {"text": case["target"]}


TEMPLATES = {
    "blocks are trimmed": "  {% for m in messages %}\n    {{ m.content }}\n  {% endfor %}\n\nend\n",
    "explicit trims": "{%- for m in messages -%}\n [{{- m['role'] -}}] \n{%- endfor -%}",
    "loop controls": "{% for m in messages %}{% if loop.last %}{% break %}{% endif %}"
    "{% if m.role == 'system' %}{% continue %}{% endif %}{{ m.content }}{% endfor %}",
    "tojson": "{{ messages|tojson }}|{{ messages|tojson(indent=2) }}"
    "|{{ {'b': 1, 'a': None}|tojson(sort_keys=true, separators=(',', ':')) }}"
    "|{{ 'é'|tojson(ensure_ascii=true) }}",
    "generation": "{% for m in messages %}{% generation %}<{{ m.content }}>\n{% endgeneration %}"
    "{% endfor %}",
    "namespace": "{% set ns = namespace(n=0, self=2) %}{% for m in messages %}"
    "{% set ns.n = ns.n + 1 %}{% endfor %}{{ ns.n }} {{ ns.self }} {{ namespace is defined }}",
    "macros": "{% macro say(m, mark='#') %}{{ mark }}{{ m.content|trim }}{% endmacro %}"
    "{% for m in messages %}{{ say(m) }}{{ say(m, mark='*') }}{% endfor %}",
    "undefined is empty": "[{{ missing }}{{ messages[0].missing }}{{ tools }}{{ documents }}]",
    "dict": "{{ dict(a=1, b='x') }}{{ dict.fromkeys(['k'], 0) }}",
    "methods": "{{ messages[0].content.strip().upper() }}{{ messages[1].content.split('\\n')[-1] }}"
    "{{ '{:>5}'.format('x') }}{{ messages[2].items()|list }}",
    "filters": "{{ messages|selectattr('role', 'equalto', 'user')|map(attribute='content')|join }}"
    "{{ messages|length }}{{ messages[0]|dictsort }}{{ 'a<b'|e }}{{ [3, 1]|sort }}",
    "slices": "{{ messages[1:]|length }}{% if messages[0]['role'] == 'system' %}S{% endif %}"
    "{{ bos_token ~ 1 ~ none }}",
    "line ends": "a\r\nb{% if true %}\r\nc{% endif %}\r\n",
    "comments": "x {# a comment #}\n{# another #}\ny",
    "generation prompt": "{% if add_generation_prompt %}go{% else %}stop{% endif %}",
}


@pytest.mark.parametrize("name", TEMPLATES)
@pytest.mark.parametrize("prompt", [True, False])
def test_templates_render_as_the_reference_library_renders_them(name, prompt):
    from transformers.utils.chat_template_utils import render_jinja_template

    texts, _ = render_jinja_template(
        conversations=[CONVERSATION],
        chat_template=TEMPLATES[name],
        add_generation_prompt=prompt,
        bos_token="<s>",
    )
    variables = {"tools": None, "documents": None, "bos_token": "<s>"}
    ours = reply(TEMPLATES[name], messages=CONVERSATION, add_generation_prompt=prompt, **variables)
    assert ours == {"text": texts[0]}


def test_the_clock_is_the_one_that_was_sent():
    assert reply("{{ strftime_now('%d %b %Y %H:%M') }}") == {"text": "10 Jul 2025 12:00"}


def test_literals_are_what_the_template_writes_itself():
    loaded = Renderer().handle(
        {"template": "<|a|>{{ '<|b|>' + c }}{# <|d|> #}{% if e == '\\u003cf' %}x{% endif %}"}
    )
    assert set(loaded["text"].split("\0")) == {"<|a|>", "<|b|>", "<f", "x"}


@pytest.mark.parametrize(
    ("source", "kind", "message"),
    [
        ("{% for %}", "syntax", "line 1: "),
        ("a\n{{ x", "syntax", "line 2: "),
        ("{{ 'a'|no_such_filter }}", "syntax", "no_such_filter"),
        ("{{ raise_exception('No system, please') }}", "raised", "No system, please"),
        ("{{ x.y.z }}", "failed", "'x' is undefined"),
        ("{{ 1 / 0 }}", "failed", "division by zero"),
        ("{{ messages.append(1) }}", "failed", "unsafe"),
        ("{% include 'x' %}", "failed", "no loader"),
        ("{{ range(10 ** 9) }}", "failed", "Range too big"),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "limit", "without end"),
        ("{% for i in range(90000) %}{{ 'x' * 1000 }}{% endfor %}", "limit", "memory"),
    ],
)
def test_failures_have_a_kind_and_a_message(source, kind, message):
    failure = reply(source, messages=[])
    assert failure["error"] == kind
    assert message in failure["message"]


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ (messages|attr('__class__')).__base__ }}",
        "{{ namespace.__init__.__globals__ }}",
        "{{ raise_exception.__globals__ }}",
        "{{ strftime_now.__globals__['json'] }}",
        "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
        "{{ '{0.__class__.__mro__}'.format('') }}",
        "{{ dict.__subclasses__() }}",
        "{{ self._TemplateReference__context.environment.from_string('x') }}",
        "{% set ns = namespace() %}{% set ns.__class__ = 1 %}",
        "{{ namespace(__init__=1) }}",
        "{{ namespace({'_x': 1}) }}",
        "{{ ''['__class__']['__mro__'] }}",
    ],
)
def test_the_sandbox_has_no_way_out(source):
    answer = reply(source, messages=[])
    assert answer.get("error") in ("failed", "syntax") or answer["text"] in ("", "None"), answer

"""Templates built as the families build theirs: rendered as the reference library renders them,
system prompts, thinking and refusals included."""

import json
from typing import Any

import jinja2
import pytest
from tiny_models import write_tokenizer
from transformers import PreTrainedTokenizerFast

from llmcli.checkpoint.template import ChatTemplate, ConversationRefusedError
from llmcli.checkpoint.tokenizer import Tokenizer

# ruff: noqa: E501
# Shaped like the published ones, in words of our own: what differs is which features they use.
TEMPLATES = {
    "smollm2": """{% for message in messages %}
{%- if loop.first and message['role'] != 'system' %}{{ '<|im_start|>system\nBe of help.<|im_end|>\n' }}{% endif %}
{{- '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}{% endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}""",
    "llama3": """{% set loop_messages = messages %}{% for message in loop_messages %}
{%- set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' + message['content'] | trim + '<|eot_id|>' %}
{%- if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}
{%- if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}""",
    "phi3": """{% for message in messages %}{% if message['role'] in ['system', 'user', 'assistant'] %}
{{- '<|' + message['role'] + '|>\n' + message['content'] + '<|end|>\n' }}{% endif %}{% endfor %}
{%- if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}""",
    "qwen3": """{%- if messages[0].role == 'system' %}
    {{- '<|im_start|>system\n' + messages[0].content + '<|im_end|>\n' }}
{%- endif %}
{%- set ns = namespace(last=messages|length - 1, searching=true) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.searching and message.role == 'user' and message.content is string %}
        {%- set ns.searching = false %}{% set ns.last = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.role == 'user' or (message.role == 'system' and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' }}
    {%- elif message.role == 'assistant' %}
        {%- set thought = '' %}{% set content = message.content %}
        {%- if message.reasoning_content is string %}
            {%- set thought = message.reasoning_content %}
        {%- elif '</think>' in content %}
            {%- set thought = content.split('</think>')[0].rstrip('\n').split('<think>')[-1].lstrip('\n') %}
            {%- set content = content.split('</think>')[-1].lstrip('\n') %}
        {%- endif %}
        {%- if loop.index0 > ns.last and (loop.last or thought) %}
            {{- '<|im_start|>assistant\n<think>\n' + thought.strip('\n') + '\n</think>\n\n' + content.lstrip('\n') }}
        {%- else %}
            {{- '<|im_start|>assistant\n' + content }}
        {%- endif %}
        {{- '<|im_end|>\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\n\n</think>\n\n' }}
    {%- endif %}
{%- endif %}""",
    "mistral": """{%- if messages[0]['role'] == 'system' %}
    {%- set system = messages[0]['content'] %}{% set rest = messages[1:] %}
{%- else %}{% set rest = messages %}{% endif %}
{{- bos_token }}
{%- for message in rest %}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
        {{- raise_exception('Turns must go back and forth, the user first.') }}
    {%- endif %}
    {%- if message['role'] == 'user' %}
        {%- if loop.first and system is defined %}
            {{- '[INST] ' + system + '\n\n' + message['content'] + '[/INST]' }}
        {%- else %}{{ '[INST] ' + message['content'] + '[/INST]' }}{% endif %}
    {%- else %}{{ ' ' + message['content']|trim + eos_token }}{% endif %}
{%- endfor %}""",
    "gemma": """{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('There is no system role here.') }}{% endif %}
{%- for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
{{- raise_exception('Turns must go back and forth.') }}{% endif %}
{%- if message['role'] == 'assistant' %}{% set role = 'model' %}{% else %}{% set role = message['role'] %}{% endif %}
{{- '<start_of_turn>' + role + '\n' + message['content'] | trim + '<end_of_turn>\n' }}{% endfor %}
{%- if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}""",
}
USER = {"role": "user", "content": "  What is {{ a }} token?\n"}
ANSWER = {"role": "assistant", "content": "<think>\nHm.\n</think>\n\nA piece of text. "}
CONVERSATIONS: dict[str, list[dict[str, Any]]] = {
    "one question": [USER],
    "with a system prompt": [{"role": "system", "content": "Be brief. é🙂"}, USER],
    "three turns": [USER, ANSWER, USER, ANSWER, USER],
    "an answer last": [USER, ANSWER],
    "reasoning apart": [USER, {**ANSWER, "reasoning_content": "Hm."}],
    "two questions": [USER, USER],
    "an answer first": [ANSWER, USER],
}
OPTIONS: list[dict[str, Any]] = [
    {"add_generation_prompt": True},
    {"add_generation_prompt": False},
    {"add_generation_prompt": True, "enable_thinking": False},
    {"add_generation_prompt": True, "enable_thinking": True},
]


@pytest.fixture(scope="module")
def pair(request, tmp_path_factory):
    """One family's template, loaded by the project and by the reference library."""
    folder = tmp_path_factory.mktemp(request.param)
    write_tokenizer(folder, 320, chat=False)
    config = json.loads((folder / "tokenizer_config.json").read_text())
    config["chat_template"] = TEMPLATES[request.param]
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    template = ChatTemplate.load(folder, Tokenizer.load(folder))
    yield template, PreTrainedTokenizerFast.from_pretrained(folder)
    template.close()


@pytest.mark.parametrize("pair", TEMPLATES, indirect=True)
@pytest.mark.parametrize("name", CONVERSATIONS)
def test_rendered_or_refused_as_the_reference_library_does(pair, name: str) -> None:
    template, theirs = pair
    messages = CONVERSATIONS[name]
    for options in OPTIONS:
        try:
            expected = theirs.apply_chat_template(messages, tokenize=False, **options)
        except jinja2.TemplateError as refusal:
            with pytest.raises(ConversationRefusedError, match=str(refusal)):
                template.render(messages, **options)
        else:
            assert template.render(messages, **options) == expected


@pytest.mark.parametrize("pair", ["gemma", "mistral"], indirect=True)
def test_a_refusal_is_told_in_the_templates_words(pair) -> None:
    template, _ = pair
    with pytest.raises(ConversationRefusedError, match="back and forth"):
        template.encode(CONVERSATIONS["two questions"])

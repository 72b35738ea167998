"""The context's budget adds up to the prompt, and its borders lie where the template has them."""

import pytest
from tiny_models import CHATML, write_tiny_llama

from llmcli.checkpoint.template import ChatTemplate
from llmcli.checkpoint.tokenizer import Tokenizer
from llmcli.engine.budget import measure

DEFAULT = (
    "{% if messages[0]['role'] != 'system' %}{{ '<|im_start|>system\\nBe kind.<|im_end|>\\n' }}"
    "{% endif %}" + CHATML
)
# The system prompt stands within the first question, as in Gemma's template.
FOLDED = (
    "{% if messages[0]['role'] == 'system' %}{% set first = messages[0]['content'] + '\\n\\n' %}"
    "{% set messages = messages[1:] %}{% endif %}"
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + "
    "(first if loop.first and first is defined else '') + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
# An answer that is no longer the last loses a word.
CHANGING = CHATML.replace(
    "message['content'] +", "(message['content'] if loop.last else message['content'][4:]) +"
)
SYSTEM = {"role": "system", "content": "Be brief."}
TURN = [
    {"role": "user", "content": "What is a token?"},
    {"role": "assistant", "content": "The cat sat on the mat."},
]
QUESTION = {"role": "user", "content": "Hello there."}


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return Tokenizer.load(write_tiny_llama(tmp_path_factory.mktemp("budget")))


def turn_tokens(tokenizer: Tokenizer, role: str, content: str) -> int:
    return len(tokenizer.encode_rendered(f"<|im_start|>{role}\n{content}<|im_end|>\n"))


@pytest.mark.parametrize("template", [CHATML, DEFAULT, FOLDED, CHANGING])
@pytest.mark.parametrize("messages", [[], [SYSTEM], [SYSTEM, *TURN], TURN, [*TURN, *TURN]])
def test_it_adds_up_to_the_prompt(tokenizer: Tokenizer, template: str, messages: list) -> None:
    chat = ChatTemplate(template, "here", tokenizer)
    asked = [*messages, QUESTION]
    ids = chat.encode(asked)
    budget = measure(chat, asked, ids, 512)
    assert budget.system + budget.history + budget.message == len(ids)
    assert budget.room == 512 - len(ids)
    words = len(tokenizer.encode(QUESTION["content"]))
    assert words <= budget.message <= words + turn_tokens(tokenizer, "user", "") + 20
    has_turn = len(messages) > 1
    assert (budget.history > 0) == has_turn


def test_the_borders_lie_between_the_messages(tokenizer: Tokenizer) -> None:
    chat = ChatTemplate(CHATML, "here", tokenizer)
    asked = [SYSTEM, *TURN, QUESTION]
    budget = measure(chat, asked, chat.encode(asked), 512)
    assert budget.system == turn_tokens(tokenizer, "system", "Be brief.")
    parts = (turn_tokens(tokenizer, message["role"], message["content"]) for message in TURN)
    assert budget.history == sum(parts)


def test_a_templates_own_system_prompt_counts(tokenizer: Tokenizer) -> None:
    asked = [*TURN, QUESTION]
    with_default = ChatTemplate(DEFAULT, "here", tokenizer)
    budget = measure(with_default, asked, with_default.encode(asked), 512)
    assert budget.system == turn_tokens(tokenizer, "system", "Be kind.")
    plain = ChatTemplate(CHATML, "here", tokenizer)
    assert measure(plain, asked, plain.encode(asked), 512).system == 0


def test_a_system_prompt_within_the_first_question_counts(tokenizer: Tokenizer) -> None:
    chat = ChatTemplate(FOLDED, "here", tokenizer)
    asked = [SYSTEM, *TURN, QUESTION]
    budget = measure(chat, asked, chat.encode(asked), 512)
    words = len(tokenizer.encode("Be brief.\n\n"))
    assert abs(budget.system - words) <= 1  # the border may lie within a token


def test_history_that_the_template_writes_otherwise_next_time(tokenizer: Tokenizer) -> None:
    chat = ChatTemplate(CHANGING, "here", tokenizer)
    asked = [SYSTEM, *TURN, QUESTION]
    budget = measure(chat, asked, chat.encode(asked), 512)
    head = len(tokenizer.encode_rendered("<|im_start|>user\n"))
    kept = (turn_tokens(tokenizer, message["role"], message["content"][4:]) for message in TURN)
    assert budget.history - sum(kept) in (head, head + 1, head - 1)

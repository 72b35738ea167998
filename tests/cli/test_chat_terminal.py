"""`llmcli chat` at a pseudo-terminal: keys, Ctrl+C in an answer, history, the terminal restored."""

import signal

import pytest
from hub_server import Hub, small_model, wait_for_request
from terminal import CTRL_C, ENTER, NEW_LINE, PASTE, PASTE_END, PROMPT, Terminal
from tiny_models import write_tiny_llama

BREAK = "\r\n"
FOOTER = r"prefill \d+ tok \((\d+) reused\).*\n?.*KV \d"
# Every token of every answer is this one; nothing else on the screen has two of them in a row.
LETTER = "Q"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("tiny") / "model"
    return str(write_tiny_llama(path, max_position_embeddings=100_000))


@pytest.fixture
def terminal(folder, tmp_path):
    opened = []

    def start(*arguments, **environment):
        bias = ("--logit-bias", f"{LETTER}=100")
        opened.append(
            Terminal(
                ["chat", folder, *bias, *arguments], XDG_STATE_HOME=str(tmp_path), **environment
            )
        )
        return opened[-1]

    yield start
    for each in opened:
        each.close()


def test_the_first_line_says_what_runs(terminal):
    chat = terminal("--quant", "int4", "--device", "cpu")
    chat.wait_for(r"int4, groups of 32, vocabulary int8, float32 on cpu · context 100,000 tokens")
    chat.wait_for(PROMPT)
    assert chat.leave() == 0


def test_ctrl_c_keeps_the_partial_answer_and_ctrl_d_leaves(terminal, tmp_path):
    chat = terminal()
    chat.wait_for(PROMPT)
    chat.enter("/set max_tokens 4")
    assert chat.enter("Hello", FOOTER).group(1) == "0"

    chat.enter("/set max_tokens default")
    chat.press("Tell me everything" + ENTER)
    said = len(chat.wait_for(f"{LETTER}{{20,}}").group())
    chat.press(CTRL_C)
    chat.wait_for(FOOTER)
    chat.wait_for(PROMPT)

    # What was said before Ctrl+C is part of the next prompt, and of the cache.
    chat.enter("/set max_tokens 4")
    assert int(chat.enter("Go on", FOOTER).group(1)) > said
    assert chat.leave() == 0
    history = tmp_path / "llmcli" / "history"
    assert "+Tell me everything\n" in history.read_text()
    assert history.stat().st_mode & 0o777 == 0o600


def test_keys_at_the_prompt(terminal, tmp_path):
    chat = terminal("--max-tokens", "4", "--no-history")
    chat.wait_for(PROMPT)
    chat.press("not to be sent")
    chat.wait_for("not to be sent")
    chat.press(CTRL_C)  # clears the line
    chat.wait_for(PROMPT)
    chat.enter("/stats", "there is no answer yet")
    chat.press("nor this")
    chat.wait_for("nor this")
    chat.process.send_signal(signal.SIGINT)  # so does the signal that it stands for elsewhere
    chat.wait_for(PROMPT)
    chat.enter("/stats", "there is no answer yet")

    chat.press(f"{PASTE}pasted one\r\npasted two\r{PASTE_END}")  # does not submit
    chat.wait_for("pasted two")
    chat.enter("", FOOTER)
    chat.enter("/undo", f"taken back: pasted one{BREAK}pasted two{BREAK}")

    chat.press("first line")
    chat.wait_for("first line")
    chat.press(NEW_LINE)  # Ctrl+J by itself
    chat.press("second line")
    chat.wait_for("second line")
    chat.press("\x1b" + ENTER)  # Alt+Enter
    chat.press("third line")
    chat.wait_for("third line")
    chat.enter("", FOOTER)
    chat.enter("/undo", f"taken back: first line{BREAK}second line{BREAK}third line{BREAK}")

    chat.press('"""' + ENTER + "in a block" + ENTER)
    chat.enter('"""', FOOTER)
    chat.enter("/undo", f"taken back: in a block{BREAK}")

    chat.press("/stats\n/help\n")  # as a program writes lines
    chat.wait_for("last answer")
    chat.wait_for("forget all turns")
    chat.wait_for(PROMPT)
    assert chat.leave() == 0
    assert not (tmp_path / "llmcli").exists()


def test_the_last_question_is_there_to_be_edited(terminal):
    chat = terminal("--max-tokens", "4", "--no-history")
    chat.wait_for(PROMPT)
    chat.enter("What is a toad", FOOTER)
    chat.press("/edit" + ENTER)
    chat.wait_for("What is a toad")
    chat.press("\x7f\x7fken?")
    chat.wait_for(r"ken\?")
    chat.enter("", FOOTER)
    chat.press("/edit" + ENTER)
    chat.wait_for(r"What is a token\?")
    chat.press(CTRL_C)  # leaves it as it was
    chat.wait_for(PROMPT)
    chat.enter("/copy", r"\x1b\]52;c;UVFRUQ==\x07")
    chat.enter("/undo", r"taken back: What is a token\?")
    chat.enter("/undo", "there is no question yet")
    assert chat.leave() == 0


def test_what_is_typed_ahead_is_sent_line_by_line(terminal):
    chat = terminal("--max-tokens", "4", "--no-history")
    chat.press("first\n/undo\nnot yet")  # while the model loads
    chat.wait_for(f"taken back: first{BREAK}")
    chat.wait_for("not yet")
    chat.enter(" sent", FOOTER)
    chat.enter("/undo", f"taken back: not yet sent{BREAK}")
    assert chat.leave() == 0


def test_a_dumb_terminal_is_enough(terminal):
    chat = terminal("--max-tokens", "4", TERM="dumb")
    chat.wait_for("> ")
    chat.press("Hello\n")
    shown = chat.wait_for(r"(?s)(.*)prefill .*KV \d").group(1)
    assert f"{BREAK}{LETTER * 4}{BREAK}" in shown
    assert "\x1b" not in shown
    chat.wait_for("> ")
    chat.press("/edit\n")
    chat.wait_for("hint: /edit TEXT replaces it")
    chat.wait_for("> ")
    assert chat.leave() == 0


def test_a_model_that_lacks_what_the_grammar_names_does_not_go_on(terminal, tmp_path):
    other = write_tiny_llama(tmp_path / "other")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        text = (other / name).read_text()
        (other / name).write_text(text.replace("<|endoftext|>", "<|other|>"))
    chat = terminal("--grammar", 'start: "a" | <|endoftext|>', "-n", "3")
    chat.wait_for(PROMPT)
    chat.enter(f"/model {other}", r"(?s)error: .*cannot answer in this form.*hint: /json off")
    chat.enter("Hello", r"Hello[^a]*a")  # the old one answers
    chat.enter("/json off")
    chat.enter(f"/model {other}", "other · float32")
    assert chat.leave() == 0


def test_ctrl_c_ends_a_download_for_another_model_and_the_chat_goes_on(terminal, tmp_path):
    with Hub() as hub:
        hub.add("org/small", small_model())
        hub.faults["model.safetensors"] = "hang body"
        chat = terminal("-n", "3", HF_ENDPOINT=hub.url, HF_HOME=str(tmp_path / "hf"))
        chat.wait_for(PROMPT)
        chat.press("/model org/small" + ENTER)
        wait_for_request(hub, "GET", "model.safetensors", chat.process)
        chat.press(CTRL_C)
        chat.wait_for(PROMPT)
        chat.enter("Hello", LETTER * 3)
        assert chat.leave() == 0

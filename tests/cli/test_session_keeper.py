"""A chat on disk as it goes: nothing answered is ever missing from its file, and it comes back."""

import io
import os

import pytest
from kept_chats import SAID, on_disk, start_chat, told

from llmcli.checkpoint.store import Source
from llmcli.cli import session_keeper
from llmcli.cli.profile import Profile
from llmcli.cli.slash import answer
from llmcli.engine.folder import check_folder
from llmcli.engine.generate import Generation
from llmcli.engine.session import load
from llmcli.errors import LlmcliError, UsageError


class Watching(io.StringIO):
    """Looks at the file when the first word of an answer is shown."""

    def __init__(self, look) -> None:
        super().__init__()
        self.look, self.seen = look, []

    def write(self, text):
        self.seen.append(self.look())
        return super().write(text)


def test_a_chat_without_a_question_has_no_file(chat, store):
    turns = chat(system="Be brief.")
    answer(turns, "/set temperature 0.5")
    turns.leave()
    assert store.names() == []
    assert told(turns) == "temperature 0.5 (/set)\n"


def test_a_question_is_on_disk_before_its_answer(chat, store):
    screen = Watching(lambda: on_disk(store))
    turns = chat(stdout=screen)
    turns.take("Hello")
    assert screen.seen[0] == ["Hello"]
    assert on_disk(store) == ["Hello", SAID]
    (name,) = store.names()
    session = store.read(name).session
    assert session.model == "tiny"
    prompt = turns.timings.prompt_tokens
    assert {**session.messages[1].facts, "time": ""} == {
        "time": "",
        "tokens": 2,
        "prompt_tokens": prompt,
    }
    turns.leave()
    assert told(turns) == f"kept as {name}: `llmcli chat --resume {name}`\n"


def test_nothing_is_written_where_nothing_changed(chat, store):
    turns = chat()
    turns.take("Hello")
    stamp = store.read(turns.keeper.name).stamp
    turns.save()
    assert store.read(turns.keeper.name).stamp == stamp


def test_the_last_session_goes_on(chat, store):
    profile = Profile(
        examples=({"role": "user", "content": "1"}, {"role": "assistant", "content": "2"})
    )
    first = chat(system="Be brief.", profile=profile)
    first.take("Hello")
    answer(first, "/set top_k 7")
    first.save()
    before = store.read(first.keeper.name).session

    second = chat(continue_last=True)
    assert second.conversation.messages == first.conversation.messages
    assert second.conversation.system == "Be brief."
    table = second.settings.table()
    assert (table["top_k"].value, table["top_k"].source) == (7, "session")
    assert "1 turn, the last on 20" in told(second)
    assert on_disk(store) == ["Be brief.", "Hello", SAID]
    second.take("And?")
    after = store.read(first.keeper.name).session
    assert on_disk(store) == ["Be brief.", "Hello", SAID, "And?", SAID]
    assert after.messages[:3] == before.messages  # with the times they had
    assert after.created == before.created
    assert before.examples == profile.examples


def test_an_option_goes_over_what_the_session_chose(chat):
    first = chat()
    answer(first, "/set top_k 7")
    answer(first, "/set stop ###")
    first.take("Hello")
    second = chat(continue_last=True, sampling={"top_k": 3})
    table = second.settings.table()
    assert (table["top_k"].value, table["top_k"].source) == (3, "flag")
    assert (table["stop"].value, table["stop"].source) == (("###",), "session")
    answer(second, "/set stop default")
    assert second.settings.table()["stop"].source == "default"


def test_the_old_answer_stays_on_disk_until_the_new_one_is_there(chat, store):
    screen = Watching(lambda: on_disk(store))
    turns = chat(stdout=screen)
    turns.take("Hello")
    answer(turns, "/set max_tokens 3")
    screen.seen.clear()
    answer(turns, "/regen")
    assert screen.seen[0] == ["Hello", SAID]
    assert on_disk(store) == ["Hello", " the" * 3]


@pytest.mark.parametrize(
    ("text", "next_up"),
    [("/undo", "Hello"), ("/clear", None), ("/edit Who?", "Who?")],
)
def test_a_question_left_without_an_answer_is_the_last_one(chat, store, text, next_up):
    turns = chat()
    turns.take("Hello")
    turns.conversation.messages = [
        *turns.conversation.messages,
        {"role": "user", "content": "Well?"},
    ]
    turns.save()
    again = chat(continue_last=True)
    assert again.question == "Well?"
    answer(again, text)
    assert again.question == next_up


def _press(*_):
    raise KeyboardInterrupt


def test_a_question_left_without_an_answer_is_asked_again(chat, store, monkeypatch):
    turns = chat()
    turns.take("Hello")
    name = turns.keeper.name
    turns.conversation.messages = [
        *turns.conversation.messages,
        {"role": "user", "content": "Well?\x1b[2J"},
    ]
    turns.save()

    again = chat(resume=name)
    assert "its last question has no answer: Well?\\x1b[2J; /regen asks it again\n" in told(again)
    assert [m["content"] for m in again.conversation.messages] == ["Hello", SAID]
    with monkeypatch.context() as patch:
        patch.setattr(Generation, "_prefill", _press)
        answer(again, "/regen")  # nothing comes of it, and it can be asked once more
    assert [m["content"] for m in again.conversation.messages] == ["Hello", SAID]
    answer(again, "/regen")
    assert on_disk(store, name) == ["Hello", SAID, "Well?\x1b[2J", SAID]
    answer(again, "/regen")  # now the last turn, as ever
    assert on_disk(store, name) == ["Hello", SAID, "Well?\x1b[2J", SAID]


def test_an_emptied_chat_leaves_its_file_and_begins_another(chat, store):
    turns = chat()
    turns.take("Hello")
    first = turns.keeper.name
    answer(turns, "/clear")
    turns.save()
    turns.take("Anew")
    assert turns.keeper.name != first
    assert on_disk(store, first) == ["Hello", SAID]
    assert on_disk(store, turns.keeper.name) == ["Anew", SAID]


def test_a_damaged_session_is_set_aside_and_what_is_whole_goes_on(chat, store):
    turns = chat()
    turns.take("Hello")
    turns.take("Again")
    name = turns.keeper.name
    file = store.path(name)
    file.write_bytes(file.read_bytes()[:-9])
    damaged = file.read_bytes()

    again = chat(continue_last=True)
    (aside,) = store.folder.glob("*.corrupt-*")
    assert aside.read_bytes() == damaged
    first, *_ = told(again).splitlines()
    assert first == (
        f"session {name}: line 5 is cut (not valid JSON); it is set aside as {aside.name}, "
        "and a new one goes on with its 2 turns"
    )
    assert on_disk(store, name) == ["Hello", SAID]
    answer(again, "/regen")
    assert on_disk(store, name) == ["Hello", SAID, "Again", SAID]


def test_a_name_that_cannot_be_written_is_not_taken(chat, store, monkeypatch):
    turns = chat()
    turns.take("Hello")
    name = turns.keeper.name

    def full(descriptor):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(LlmcliError, match="cannot be written"):
            answer(turns, "/save other")
    turns.take("Again")
    assert (turns.keeper.name, store.names()) == (name, [name])
    assert on_disk(store) == ["Hello", SAID, "Again", SAID]


def test_a_disk_that_is_full_is_told_once_and_the_chat_goes_on(chat, store, monkeypatch):
    turns = chat(save_kv=True)

    def full(descriptor):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        turns.take("Hello")
        turns.take("Again")
        turns.leave()
        with pytest.raises(LlmcliError, match="No space left on device"):
            answer(turns, "/save work")
    lines = told(turns).splitlines()
    assert lines == [f"this chat cannot be kept: {store.folder}: No space left on device"]
    turns.take("More")
    assert len(on_disk(store)) == 6


def test_a_folder_that_cannot_be_made_is_told_once(chat, store):
    store.folder.parent.parent.joinpath("llmcli").write_text("a file in its place")
    turns = chat(continue_last=True)
    turns.take("Hello")
    turns.take("Again")
    turns.leave()
    lines = told(turns).splitlines()
    assert lines[0] == "there is no session to go on with: this is a new one"
    assert [line.startswith("this chat cannot be kept: ") for line in lines] == [False, True]


def test_without_a_home_there_is_no_session(chat, monkeypatch):
    def homeless():
        raise OSError("there is no home folder")

    monkeypatch.setattr(session_keeper, "sessions_folder", homeless)
    turns = chat(continue_last=True)
    turns.take("Hello")
    assert told(turns) == "this chat cannot be kept: there is no home folder\n"
    with pytest.raises(LlmcliError, match="cannot be read: there is no home folder"):
        chat(resume="work")


def test_two_chats_that_go_on_with_one_session_keep_their_own(chat, store):
    first = chat()
    first.take("Hello")
    name = first.keeper.name
    second = chat(continue_last=True)
    first.take("mine")
    told(second)
    second.take("yours")
    assert f"another chat wrote session {name}: this one is kept as {name}-2\n" in told(second)
    first.take("mine too")
    second.take("yours too")
    assert on_disk(store, name)[::2] == ["Hello", "mine", "mine too"]
    assert on_disk(store, f"{name}-2")[::2] == ["Hello", "yours", "yours too"]


def test_with_the_kv_cache_only_what_is_new_is_computed(chat, store):
    first = chat(save_kv=True)
    first.take("word " * 60)
    first.leave()
    held = first.conversation.held.cache.length
    assert f"KV cache of {held} tokens kept: " in told(first)

    second = chat(continue_last=True)
    assert f"KV cache: {held} tokens need not be computed again\n" in told(second)
    second.take("Go on")
    first.take("Go on")
    assert second.timings.cached_tokens == held > 60
    assert second.timings.new_prompt_tokens == first.timings.new_prompt_tokens


def test_a_kv_cache_of_something_else_is_told_and_not_used(chat, store, tiny_folder):
    first = chat(save_kv=True)
    first.take("word " * 60)
    first.leave()
    other = load(check_folder(Source("folder", "tiny", tiny_folder, None)), dtype="bf16")
    second = start_chat(other, continue_last=True)
    cache = store.cache_path(second.keeper.name)
    reason = "it is in F32, and the model runs in another dtype: the conversation is computed anew"
    assert f"{cache}: {reason}\n" in told(second)
    assert second.take("Go on") == "length"
    assert second.timings.cached_tokens == 0

    third = chat(continue_last=True, system="Another one.")
    assert "tokens are this conversation's; the rest is computed anew" in told(third)
    assert third.take("Go on") == "length"


def test_no_history_keeps_nothing(chat, store):
    kept = chat()
    kept.take("Hello")
    before = store.path(kept.keeper.name).read_bytes()
    turns = chat(continue_last=True, no_history=True, save_kv=True)
    turns.take("Secret")
    with pytest.raises(UsageError, match="--no-history: this chat is kept nowhere"):
        answer(turns, "/save work")
    turns.leave()
    assert store.path(kept.keeper.name).read_bytes() == before
    assert len(list(store.folder.iterdir())) == 1


def test_what_cannot_be_resumed_is_an_error(chat, store):
    with pytest.raises(UsageError, match="--continue and --resume both name a session"):
        chat(continue_last=True, resume="work")
    with pytest.raises(UsageError, match="there is no session work"):
        chat(resume="work")
    with pytest.raises(UsageError, match="cannot be the name of a session"):
        chat(resume="../work")
    store.write("newer", b'{"schema": "session/2"}\n', None)
    with pytest.raises(LlmcliError, match="a newer llmcli wrote it"):
        chat(resume="newer")
    assert store.names() == ["newer"]

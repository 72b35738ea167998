"""/save and /load: names for chats, and others brought back into this one."""

import pytest
from kept_chats import SAID, on_disk, told

from llmcli.cli.profile import Profile
from llmcli.cli.slash import answer
from llmcli.errors import UsageError

EXAMPLES = ({"role": "user", "content": "1"}, {"role": "assistant", "content": "2"})


def test_a_chat_gets_a_name_and_a_named_one_is_copied(chat, store):
    turns = chat()
    turns.take("Hello")
    answer(turns, "/save work")
    assert told(turns) == f"kept as work: {store.path('work')}\n"
    assert store.names() == ["work"]
    turns.take("Again")
    assert len(on_disk(store, "work")) == 4
    answer(turns, "/save other")
    turns.take("More")
    assert (len(on_disk(store, "work")), len(on_disk(store, "other"))) == (4, 6)
    answer(turns, "/save")
    assert told(turns).endswith(f"kept as other: {store.path('other')}\n")


def test_saving_says_what_it_cannot_do(chat, store):
    turns = chat()
    with pytest.raises(UsageError, match="there is nothing to save yet"):
        answer(turns, "/save work")
    turns.take("Hello")
    answer(turns, "/save work")
    turns.take("Again")
    turns.keeper.name = None
    with pytest.raises(UsageError, match="there is a session work already"):
        answer(turns, "/save work")
    with pytest.raises(UsageError, match="cannot be the name of a session"):
        answer(turns, "/save ../work")
    assert store.names() == ["work"]


def test_the_kv_cache_is_written_with_it(chat, store):
    turns = chat(save_kv=True)
    turns.take("Hello")
    answer(turns, "/save work")
    assert store.cache_path("work").is_file()
    assert "KV cache of " in told(turns)


def test_another_session_is_loaded_and_this_one_stays(chat, store):
    first = chat(system="One.", profile=Profile(examples=EXAMPLES))
    answer(first, "/set top_k 7")
    first.take("Hello")
    answer(first, "/save first")

    turns = chat()
    turns.take("Elsewhere")
    answer(turns, "/save second")
    told(turns)
    answer(turns, "/load first")
    assert told(turns).splitlines()[-1].startswith("session first: 1 turn, the last on 20")
    assert turns.conversation.system == "One."
    assert turns.settings.table()["top_k"].source == "session"
    assert turns.conversation.model.template.examples == EXAMPLES
    turns.take("Further")
    assert on_disk(store, "first")[1:] == ["Hello", SAID, "Further", SAID]
    assert on_disk(store, "second") == ["Elsewhere", SAID]
    answer(turns, "/load second")
    assert turns.conversation.system is None
    assert turns.settings.table()["top_k"].source == "default"


def test_loading_what_is_not_there_changes_nothing(chat, store):
    turns = chat()
    with pytest.raises(UsageError, match="there is no session yet"):
        answer(turns, "/load")
    turns.take("Hello")
    answer(turns, "/save work")
    with pytest.raises(UsageError, match=r"there is no session wrok; did you mean work\?"):
        answer(turns, "/load wrok")
    turns.take("Again")
    assert len(on_disk(store, "work")) == 4
    told(turns)
    answer(turns, "/load")
    assert [line.split()[0] for line in told(turns).splitlines()] == ["session", "work"]

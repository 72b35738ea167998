"""Keeps a chat on disk as it goes, and brings one back.

It knows when to write, and what to tell of it; files are `engine.session_store`'s.
"""

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from llmcli.cli.output import Output
from llmcli.cli.sampling_settings import SamplingSettings
from llmcli.cli.session_options import SessionFlags
from llmcli.cli.table import cell, size
from llmcli.cli.user_folders import sessions_folder
from llmcli.engine.saved_session import KeptMessage, SavedSession
from llmcli.engine.session_store import SessionStore, Stamp
from llmcli.errors import LlmcliError, UsageError

if TYPE_CHECKING:
    from llmcli.engine.conversation import Conversation
    from llmcli.engine.session import Model

EXCERPT = 60  # characters of a question
_BY_TIME = "%Y-%m-%d-%H%M%S"
_AUTOMATIC = re.compile(r"\d{4}-\d\d-\d\d-\d{6}(-\d+)?")


class SessionKeeper:
    """One chat's file. A chat without a turn has none; where the disk does not take it, that is
    told once, and the chat goes on."""

    def __init__(self, store: SessionStore, output: Output, *, keeps: bool, keeps_kv: bool) -> None:
        self.store, self.keeps, self._keeps_kv = store, keeps, keeps_kv
        self.opened: SavedSession | None = None
        self.name: str | None = None
        self._output = output
        self._failed = False
        self._stamp: Stamp | None = None
        self._created = _now()
        self._kept: list[KeptMessage] = []
        self._data = b""  # what the file says

    @classmethod
    def of(cls, flags: SessionFlags, output: Output, *, keeps: bool) -> "SessionKeeper":
        """With the session open that the options name. Raises as `open`, and UsageError."""
        if flags.continue_last and flags.resume is not None:
            raise UsageError("--continue and --resume both name a session")
        try:
            store = SessionStore(sessions_folder())
            names = store.names() if flags.continue_last else []
        except OSError as error:
            if flags.resume is not None:
                raise LlmcliError(f"sessions cannot be read: {error.strerror or error}") from None
            output.notice(f"this chat cannot be kept: {error.strerror or error}")
            return cls.nowhere(output)
        keeper = cls(store, output, keeps=keeps, keeps_kv=flags.save_kv)
        if flags.continue_last and not names:
            output.notice("there is no session to go on with: this is a new one")
        name = names[0] if names else flags.resume
        if name is not None:
            keeper.open(name)
        return keeper

    @classmethod
    def nowhere(cls, output: Output) -> "SessionKeeper":
        """For a chat that is not kept."""
        return cls(SessionStore(Path(os.devnull)), output, keeps=False, keeps_kv=False)

    def open(self, name: str) -> SavedSession:
        """Read a session, for `restore`. A damaged file is set aside, and what is whole of it kept.

        Raises UsageError where there is none, and LlmcliError where it cannot be read at all.
        """
        try:
            reading = self.store.read(name)
        except OSError as error:
            raise LlmcliError(f"{name}: cannot be read: {error.strerror}") from None
        self._forget()
        self.opened, self.name, self._stamp = reading.session, name, reading.stamp
        if reading.damage is None:
            return reading.session
        told = f"session {name}: {reading.damage}"
        n = len(reading.session.questions)
        try:
            aside, begins = self.store.set_aside(name).name, f"goes on with its {_turns(n)}"
            told += f"; it is set aside as {aside}, and a new one {begins if n else 'begins'}"
        except OSError as error:
            told += f", and cannot be set aside: {error.strerror}"
        self._stamp = None
        self._output.notice(told)
        return reading.session

    def restore(
        self, conversation: "Conversation", settings: SamplingSettings, system: str | None
    ) -> str | None:
        """Go on with the session that is open, if one is, and with this system prompt; returns its
        last question, if that has no answer."""
        session = self.opened
        conversation.system = system
        if session is None:
            return None
        here = lasting_name(conversation.model)
        conversation.messages = [{**kept.message} for kept in session.messages]
        conversation.system = system
        self._kept = [*session.messages]
        unanswered = None
        if conversation.messages and conversation.messages[-1]["role"] == "user":
            unanswered = conversation.messages.pop()["content"]
        if session.created is not None:
            self._created = session.created
        self._tell(session, here)
        self._restore_settings(settings, session, conversation.model)
        if conversation.messages:
            self._restore_kv(conversation)
        if unanswered is not None:
            self._output.notice(
                f"its last question has no answer: {excerpt(unanswered)}; /regen asks it again"
            )
        if self._stamp is None:  # it was damaged: what could be read is safe from now on
            self.save(conversation, settings)
        else:
            self._data = self._session(conversation, settings, {}).to_bytes()
        return unanswered

    def save(
        self,
        conversation: "Conversation",
        settings: SamplingSettings,
        facts: Mapping[str, int] | None = None,
    ) -> None:
        """Write the chat as it is now, unless the file says so already; `facts` are about the last
        message. A chat that lost its last turn leaves its file alone, and begins another."""
        if not self.keeps:
            return
        if not conversation.messages or _is_system(conversation.messages[-1]):
            if any(kept.message["role"] == "assistant" for kept in self._kept):
                self._forget()
            return
        session = self._session(conversation, settings, facts or {})
        try:
            self._write(session)
            self._failed = False
        except OSError as error:
            if not self._failed:
                reason = error.strerror or str(error)
                self._output.notice(f"this chat cannot be kept: {self.store.folder}: {reason}")
            self._failed = True

    def save_question(self, conversation: "Conversation", settings: SamplingSettings) -> None:
        """Write a question before it is answered, so that it cannot be lost; but not where it takes
        the place of something that was answered, until it has its answer."""
        if len(conversation.messages) >= len(self._kept):
            self.save(conversation, settings)

    def save_as(
        self, name: str | None, conversation: "Conversation", settings: SamplingSettings
    ) -> str:
        """Write it now, as `name` from now on where one is given; returns its name. A file that was
        named by its time gets the new name; one that the user named stays as it is.

        Raises UsageError for a name that cannot be or is taken, LlmcliError where it fails.
        """
        if not self.keeps:
            raise UsageError("--no-history: this chat is kept nowhere")
        if not conversation.messages or _is_system(conversation.messages[-1]):
            raise UsageError("there is nothing to save yet")
        session, before = self._session(conversation, settings, {}), self.name
        place = self.name, self._stamp, self._data
        try:
            if name is not None and name != before:
                if self.store.path(name).exists():
                    raise UsageError(
                        f"there is a session {name} already",
                        hint=f"`llmcli sessions rm {name}` removes it",
                    )
                self.name, self._stamp, self._data = name, None, b""
            self._write(session)
            if before not in (None, self.name) and _AUTOMATIC.fullmatch(before or ""):
                self.store.remove(before or "")
        except OSError as error:
            self.name, self._stamp, self._data = place
            raise LlmcliError(
                f"{self.store.folder} cannot be written: {error.strerror or error}"
            ) from None
        self._save_kv(conversation)
        assert self.name is not None
        return self.name

    def close(self, conversation: "Conversation", settings: SamplingSettings) -> None:
        """The last writing, and the KV cache where it is to be kept."""
        self.save(conversation, settings)
        if self._stamp is not None and self.keeps and not self._failed:
            self._save_kv(conversation)
            self._output.notice(f"kept as {self.name}: `llmcli chat --resume {self.name}`")

    def _forget(self) -> None:
        self.opened = self.name = self._stamp = None
        self._created, self._kept, self._data = _now(), [], b""

    def _session(
        self,
        conversation: "Conversation",
        settings: SamplingSettings,
        facts: Mapping[str, int],
    ) -> SavedSession:
        """What the file should say. Messages that it says already keep their times."""
        messages = conversation.messages
        kept_messages: list[KeptMessage] = []
        for is_system in (True, False):
            before = [kept for kept in self._kept if _is_system(kept.message) == is_system]
            now = [message for message in messages if _is_system(message) == is_system]
            for place, message in enumerate(now):
                if place < len(before) and before[place].message == message:
                    kept_messages.append(before[place])
                else:
                    about = facts if message is messages[-1] else {}
                    kept_messages.append(KeptMessage({**message}, {"time": _now(), **about}))
        self._kept = kept_messages
        template = conversation.model.template
        return SavedSession(
            model=lasting_name(conversation.model),
            created=self._created,
            settings=settings.chosen_here(),
            examples=tuple({**example} for example in template.examples) if template else (),
            messages=tuple(kept_messages),
        )

    def _write(self, session: SavedSession) -> None:
        data = session.to_bytes()
        if data == self._data:
            return
        wanted = self.name or f"{datetime.now():{_BY_TIME}}"
        name, self._stamp = self.store.write(wanted, data, self._stamp)
        self._data = data
        if self.name not in (None, name):
            self._output.notice(f"another chat wrote session {wanted}: this one is kept as {name}")
        self.name = name

    def _tell(self, session: SavedSession, here: str) -> None:
        if not session.questions:
            return
        times = [str(kept.facts["time"]) for kept in session.messages if "time" in kept.facts]
        told = f"session {self.name}: {_turns(len(session.questions))}"
        if times:
            told += f", the last on {times[-1][:16].replace('T', ' ')}"
        self._output.notice(cell(f"{told}: {excerpt(session.questions[-1])}"))
        if session.model not in (None, here):
            self._output.notice(cell(f"it was made with {session.model}; {here} goes on with it"))

    def _restore_settings(
        self, settings: SamplingSettings, session: SavedSession, model: "Model"
    ) -> None:
        told, foreign = self._output.notice, session.model != lasting_name(model)
        try:
            settings.restore(session.settings or {}, told, foreign=foreign)
        except UsageError as error:
            settings.restore({}, told, foreign=foreign)
            told(cell(f"its settings are left out: {error}"))
        form = settings.form
        if form is None or form.source != "session":
            return
        try:
            size = model.decoder.config.vocab_size
            form.value.check(model.tokenizer, size, model.stop_ids)
            told(f"answers have to fit its {form.value.name}; /json off ends that")
        except UsageError as error:
            settings.leave_out_form()
            told(cell(f"its form of answers is left out: {error}"))

    def _save_kv(self, conversation: "Conversation") -> None:
        if not self._keeps_kv or conversation.held is None or self.name is None:
            return
        from llmcli.engine.saved_cache import write_cache

        path = self.store.cache_path(self.name)
        try:
            n_tokens = write_cache(path, conversation.model, conversation.held)
            if n_tokens:
                n_bytes = size(path.stat().st_size)
                self._output.notice(f"KV cache of {n_tokens:,} tokens kept: {n_bytes}")
        except OSError as error:
            self._output.notice(f"the KV cache cannot be kept: {error.strerror or error}")

    def _restore_kv(self, conversation: "Conversation") -> None:
        held, template = conversation.held, conversation.model.template
        if held is None or self.name is None or template is None:
            return
        from llmcli.engine.saved_cache import read_cache

        with suppress(FileNotFoundError):
            try:
                path = self.store.cache_path(self.name)
                n_tokens = read_cache(path, conversation.model, held)
            except LlmcliError as error:
                self._output.notice(cell(f"{error}: the conversation is computed anew"))
                return
            ids = template.encode(conversation.messages, add_generation_prompt=False)
            pairs = enumerate(zip(held.ids, ids, strict=False))
            common = next((at for at, (one, two) in pairs if one != two), min(n_tokens, len(ids)))
            told = f"KV cache: {common:,} tokens need not be computed again"
            if common < n_tokens:
                told = f"KV cache: {common:,} of its {n_tokens:,} tokens are this conversation's"
                told += "; the rest is computed anew"
            self._output.notice(told)


def lasting_name(model: "Model") -> str:
    """What to call a model from anywhere: a folder by its whole path."""
    given = Path(model.name).expanduser().absolute()
    return str(given) if given == model.folder.absolute() else model.name


def excerpt(text: str) -> str:
    """The beginning of a message, on one line."""
    line = " ".join(text.split())
    return cell(line if len(line) <= EXCERPT else f"{line[: EXCERPT - 1]}…")


def _is_system(message: Mapping[str, str]) -> bool:
    return message["role"] == "system"


def _turns(count: int) -> str:
    return f"{count} turn" if count == 1 else f"{count} turns"


def _now() -> str:
    return datetime.now().astimezone().isoformat(timespec="seconds")

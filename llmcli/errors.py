"""Every failure that a user may meet, each with its exit code.

It knows nothing of how they are shown.

LlmcliError                   1  something failed
├── UsageError                2  the command line or a setting is wrong
├── ModelNotFoundError        3  no such model, or it cannot be reached
├── InvalidModelError         4  the model's files are damaged, contradict each other,
│                                or ask for what llmcli does not support
├── OutOfMemoryError          5  the model does not fit
├── PromptError               1  the prompt is empty, or longer than the context
└── GenerationError           1  the model's numbers are unusable (NaN, no token allowed),
                                 or the room was too short for the form asked for
"""


class LlmcliError(Exception):
    """A failure told in one line: what, in which file, why; `hint` says what to do about it."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class UsageError(LlmcliError):
    """The command line or a setting is wrong."""

    exit_code = 2


class ModelNotFoundError(LlmcliError):
    """No such model, or it cannot be reached."""

    exit_code = 3


class InvalidModelError(LlmcliError):
    """The model's files are damaged, contradict each other, or ask for what is not supported."""

    exit_code = 4


class OutOfMemoryError(LlmcliError):
    """The model does not fit in memory."""

    exit_code = 5


class PromptError(LlmcliError):
    """The prompt is empty, or longer than the context."""


class GenerationError(LlmcliError):
    """The model's numbers are unusable: NaN logits, or no token is left to choose from; or the room
    was too short for the form that the answer had to have."""

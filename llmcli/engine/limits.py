"""What a prompt must be for a model to answer it, and how it is cut; known without torch.

It knows numbers of tokens, and nothing of what they mean.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from llmcli.core.config import ModelConfig
from llmcli.errors import InvalidModelError, PromptError, UsageError

if TYPE_CHECKING:
    from llmcli.checkpoint.template import ChatTemplate

PREFILL_CHUNK = 512  # positions of a prompt that are computed at a time


def context_size(config: ModelConfig, asked: int | None) -> int:
    """The model's context, or less if less is asked for. Raises UsageError for more."""
    if asked is not None and asked > config.context:
        raise UsageError(f"--ctx-size {asked:,} exceeds the model's context of {config.context:,}")
    return asked or config.context


def check_prompt(ids: Sequence[int], context: int) -> None:
    """Raises PromptError for a prompt without a token, or with no room left for an answer's."""
    if not ids:
        raise PromptError(
            "the prompt is empty, and this model has no begin-of-text token to start from"
        )
    if len(ids) >= context:
        count = "1 token" if len(ids) == 1 else f"{len(ids):,} tokens"
        raise PromptError(
            f"the prompt is {count} long; with room for an answer the "
            f"context of {context:,} holds {context - 1:,}",
            hint="shorten it, or raise --ctx-size if the model allows more",
        )


def need_template(name: str, template: "ChatTemplate | None") -> "ChatTemplate":
    """Raises InvalidModelError for a model that cannot hold a conversation."""
    if template is None:
        raise InvalidModelError(
            f"{name}: the model has no chat template",
            hint="complete a text instead: llmcli generate MODEL -p TEXT; "
            "or give a template: --chat-template-file FILE",
        )
    return template

"""What a prompt and a context may be, told in plain words."""

import pytest

from llmcli.engine.limits import check_prompt
from llmcli.errors import PromptError


@pytest.mark.parametrize(("length", "told"), [(1, "1 token long"), (1200, "1,200 tokens long")])
def test_a_prompt_too_long_is_counted(length: int, told: str) -> None:
    with pytest.raises(PromptError, match=f"^the prompt is {told}; .* of 1 holds 0$"):
        check_prompt(range(length), 1)

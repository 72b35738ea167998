"""What went wrong with the hub, told as a ModelNotFoundError that says what to do.

It knows nothing of how files are fetched.
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from llmcli.errors import LlmcliError, ModelNotFoundError

LOG_IN = "set HF_TOKEN to an access token, or run `hf auth login`"


@contextmanager
def explained(repo: str, revision: str) -> Iterator[None]:
    """Turn whatever the hub, the network or the disk raises into a ModelNotFoundError.

    Every exception, for an answer from outside may break anything in the library that reads it.
    """
    try:
        yield
    except LlmcliError:
        raise
    except Exception as error:
        raise _explain(error, repo, revision) from error


def _explain(error: BaseException, repo: str, revision: str) -> ModelNotFoundError:
    from huggingface_hub import constants, errors

    host = constants.ENDPOINT
    if isinstance(error, errors.LocalEntryNotFoundError) and error.__cause__ is not None:
        error = error.__cause__  # the library's "not on this disk either" hides the reason
    if isinstance(error, errors.OfflineModeIsEnabled):
        return ModelNotFoundError(
            f"{repo}: HF_HUB_OFFLINE is set, which forbids asking {host}",
            hint="unset it, or use a model that `llmcli models` lists",
        )
    if isinstance(error, errors.GatedRepoError):
        return ModelNotFoundError(
            f"{repo} is gated: its owner must grant you access",
            hint=f"accept its terms at {host}/{repo}, then {LOG_IN}",
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return ModelNotFoundError(
            f"{repo} has no revision {revision}",
            hint=f"{host}/{repo}/tree/main lists its branches and tags",
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        return ModelNotFoundError(
            f"there is no model {repo} on {host}, or it is private",
            hint=f"check the spelling (no folder here has that name); if it is private, {LOG_IN}",
        )
    if isinstance(error, errors.HfHubHTTPError):
        return _explain_status(error.response.status_code, repo, host)
    if isinstance(error, errors.HFValidationError):
        return ModelNotFoundError(f"{repo} cannot be the name of a model on the hub")
    return _explain_failure(error, repo, host)


def _explain_status(status: int, repo: str, host: str) -> ModelNotFoundError:
    if status == 401:
        return ModelNotFoundError(
            f"{repo}: {host} denies access (HTTP 401): the name is wrong, the model is private, "
            "or the access token is not valid",
            hint=f"check the spelling, then {LOG_IN}",
        )
    if status == 403:
        return ModelNotFoundError(
            f"{repo}: {host} denies access (HTTP 403)",
            hint=f"see {host}/{repo} for who may have it, then {LOG_IN}",
        )
    if status == 404:
        return ModelNotFoundError(f"{repo}: {host} does not have it (HTTP 404)")
    if status == 429:
        return ModelNotFoundError(
            f"{repo}: {host} counts too many requests from here (HTTP 429)",
            hint=f"wait some minutes; requests with a token get a higher limit: {LOG_IN}",
        )
    if status >= 500:
        return ModelNotFoundError(
            f"{repo}: {host} is in trouble (HTTP {status})", hint="try again later"
        )
    return ModelNotFoundError(f"{repo}: {host} answered HTTP {status}")


def _explain_failure(error: BaseException, repo: str, host: str) -> ModelNotFoundError:
    """Errors of the network, the disk, and the HTTP library, whose types depend on its version."""
    kind = type(error).__name__
    again = "check the network and try again: what is whole is kept"
    if isinstance(error, TimeoutError) or kind.endswith("Timeout"):
        return ModelNotFoundError(f"{repo}: {host} did not answer in time", hint=again)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return ModelNotFoundError(
            f"{repo}: the disk is full",
            hint="make room, or set HF_HOME to a folder on another disk",
        )
    if isinstance(error, OSError) and error.filename is not None:
        return ModelNotFoundError(
            f"{repo}: {error.filename} cannot be written: {error.strerror}",
            hint="set HF_HOME to a folder that you may write to",
        )
    if kind in ("ConnectError", "ProxyError", "UnsupportedProtocol"):
        return ModelNotFoundError(
            f"{repo}: {host} cannot be reached: {_first_line(error)}",
            hint="check the network, or use a model that `llmcli models` lists",
        )
    if kind in ("ReadError", "WriteError", "RemoteProtocolError", "CutError"):
        return ModelNotFoundError(f"{repo}: the connection to {host} was cut", hint=again)
    if isinstance(error, OSError) and "Consistency check" in str(error):
        return ModelNotFoundError(
            f"{repo}: {host} sent a file of another size than announced", hint=again
        )
    return ModelNotFoundError(
        f"{repo}: {host} answered something unusable: {kind}: {_first_line(error)}"
    )


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else "no reason given"

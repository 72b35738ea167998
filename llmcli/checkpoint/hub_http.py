"""Answers of the hub, read piece by piece and never beyond what was asked for.

It knows nothing of models. huggingface_hub makes the connections and adds the access token. The
server is not trusted: an answer may be endless, slow, cut, compressed, or another range than the
one asked for; each of these ends within a known time and a known number of bytes.
"""

import queue
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic, sleep
from typing import Any, TypeVar
from urllib.parse import quote

from llmcli import __version__

T = TypeVar("T")

STALL_SECONDS = 20.0  # without a byte
ANSWER_SECONDS = 60.0  # for a small answer; a large one may take longer, as below
SLOWEST = 500_000  # bytes per second that a larger answer must make
_ATTEMPTS = 3
_PAUSE_SECONDS = 0.5
_CUT = ("ReadError", "RemoteProtocolError", "CutError")
_RANGE = re.compile(r"bytes (\d{1,20})-(\d{1,20})/(\d{1,20})")


class CutError(Exception):
    """The answer ended before all that was asked for had come."""


@dataclass
class Traffic:
    """What a run has asked of the network; redirections are requests too. Any thread may count."""

    requests: int = 0
    bytes_read: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def count(self, *, requests: int = 0, bytes_read: int = 0) -> None:
        with self._lock:
            self.requests += requests
            self.bytes_read += bytes_read


def listing_url(repo: str, revision: str) -> str:
    from huggingface_hub import constants

    return f"{constants.ENDPOINT}/api/models/{repo}/revision/{quote(revision, safe='')}?blobs=true"


def file_url(repo: str, commit: str, name: str) -> str:
    from huggingface_hub import constants

    return constants.HUGGINGFACE_CO_URL_TEMPLATE.format(
        repo_id=repo, revision=commit, filename=quote(name)
    )


def bounded(call: Callable[[], T], seconds: float) -> T:
    """What `call` gives or raises; TimeoutError when it takes longer, wherever it hangs, name
    resolution included: it runs in a thread of its own, which is left behind."""
    outcome: queue.SimpleQueue[tuple[T | None, BaseException | None]] = queue.SimpleQueue()

    def run() -> None:
        try:
            outcome.put((call(), None))
        except BaseException as error:  # noqa: BLE001  (handed to the thread that waits)
            outcome.put((None, error))

    threading.Thread(target=run, daemon=True).start()
    try:
        value, error = outcome.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError from None
    if error is not None:
        raise error
    return value  # type: ignore[return-value]


def read_whole(url: str, limit: int, traffic: Traffic, *, seconds: float = ANSWER_SECONDS) -> bytes:
    """An answer of unknown size. Raises ValueError when it is larger than `limit`, TimeoutError,
    and whatever huggingface_hub and its HTTP library raise."""
    data = bytearray()
    with _answer(url, {}, traffic, seconds) as (_, pieces):
        for piece in pieces:
            data += piece
            if len(data) > limit:
                raise ValueError(f"the answer is longer than {limit:,} bytes")
    return bytes(data)


def read_range(url: str, start: int, stop: int, size: int, traffic: Traffic) -> bytes:
    """The bytes from `start` up to `stop` of a file that is `size` bytes long.

    A server that ignores ranges sends all from the beginning: what comes before is read and left,
    what comes after is not read. What is cut, or fails on the server's side, is tried again from
    where it ended. Raises as `read_whole`.
    """
    data = bytearray()
    for attempt in range(1, _ATTEMPTS + 1):
        if len(data) == stop - start:
            break
        try:
            _append(data, url, start, stop, size, traffic)
            if len(data) < stop - start:
                raise CutError
        except Exception as error:
            if attempt == _ATTEMPTS or not _may_pass(error):
                raise
            sleep(_PAUSE_SECONDS * attempt)
    return bytes(data)


def _append(data: bytearray, url: str, start: int, stop: int, size: int, traffic: Traffic) -> None:
    """One request for what is missing in `data`."""
    begin, wanted = start + len(data), stop - start
    asked = {"Range": f"bytes={begin}-{stop - 1}"}
    seconds = ANSWER_SECONDS + (stop - begin) / SLOWEST
    with _answer(url, asked, traffic, seconds) as (response, pieces):
        before = begin - _first_byte(response, begin, size)
        for piece in pieces:
            left = min(before, len(piece))
            before -= left
            data += piece[left : left + wanted - len(data)]
            if len(data) == wanted:
                return


def _first_byte(response: Any, asked: int, size: int) -> int:
    """Where in the file the answer begins."""
    if response.status_code == 200:
        told = response.headers.get("Content-Length", str(size))
        if told != str(size):
            raise ValueError(f"{told[:20]} bytes in place of a file that was listed with {size:,}")
        return 0
    part = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if response.status_code != 206 or part is None:
        raise ValueError(f"HTTP {response.status_code} where a range of a file was asked for")
    if int(part[3]) != size:
        raise ValueError(f"a file of {int(part[3]):,} bytes that was listed with {size:,}")
    if int(part[1]) != asked:
        raise ValueError(f"bytes from {int(part[1]):,} on, not from {asked:,}")
    return asked


@contextmanager
def _answer(
    url: str, headers: dict[str, str], traffic: Traffic, seconds: float
) -> Iterator[tuple[Any, Iterator[bytes]]]:
    """The answer to one request, and its body as it arrives, for `seconds` at most."""
    from huggingface_hub import get_session, hf_raise_for_status

    end = monotonic() + seconds
    headers = _own_headers() | headers
    stall = min(STALL_SECONDS, seconds)
    with get_session().stream("GET", url, headers=headers, timeout=stall) as response:
        traffic.count(requests=1 + len(response.history))
        if response.status_code >= 400:
            response.close()  # its body, which may be endless, is not read for the message
        hf_raise_for_status(response)
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise ValueError("an answer in an encoding that was not asked for")
        yield response, _pieces(response, traffic, end)


def _own_headers() -> dict[str, str]:
    """Those of every request. The library's own ones would tell what else is installed, and ask
    the hub for more first."""
    from huggingface_hub import constants, get_token

    headers = {"User-Agent": f"llmcli/{__version__}", "Accept-Encoding": "identity"}
    token = None if constants.HF_HUB_DISABLE_IMPLICIT_TOKEN else get_token()
    return headers if token is None else headers | {"Authorization": f"Bearer {token}"}


def _pieces(response: Any, traffic: Traffic, end: float) -> Iterator[bytes]:
    for piece in response.iter_raw():
        traffic.count(bytes_read=len(piece))
        yield piece
        if monotonic() > end:
            raise TimeoutError


def _may_pass(error: Exception) -> bool:
    """Whether another try may help."""
    status = getattr(getattr(error, "response", None), "status_code", 0)
    return type(error).__name__ in _CUT or status >= 500

"""The headers of a model on the hub, read by HTTP ranges: its weights stay where they are.

It knows nothing of what the tensors mean, and leaves nothing on the disk. One request lists the
files, one each reads config.json, the index of a sharded model, and the beginning of each shard;
only where a header is longer than that does a shard take a second one.
"""

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from llmcli.checkpoint.headers import (
    INDEX,
    MAX_INDEX_BYTES,
    WEIGHTS,
    Header,
    header_stop,
    join_shards,
    parse_header,
    parse_index,
)
from llmcli.checkpoint.hub import Listing, RemoteFile, list_files, listed_shards, no_weights
from llmcli.checkpoint.hub_errors import explained
from llmcli.checkpoint.hub_http import STALL_SECONDS, Traffic, file_url, read_range
from llmcli.checkpoint.json_file import MIB, parse_json_object
from llmcli.checkpoint.store import RemoteModel
from llmcli.errors import InvalidModelError

T = TypeVar("T")

FIRST_BYTES = 100_000  # which holds the header of nearly every shard that is published
AT_ONCE = 8
MAX_TOTAL_BYTES = 512 * MIB  # of all headers: some million tensors
MAX_CONFIG_BYTES = 16 * MIB


def read_remote(repo: str, revision: str, within: float) -> RemoteModel:
    """Ask the hub for the headers of a model; `within` bounds its first answer, in seconds.

    Raises ModelNotFoundError when the hub or the network fails, InvalidModelError when what is
    there is damaged, too large, or in no format that llmcli reads.
    """
    traffic = Traffic()
    listing = list_files(repo, revision, within=within, traffic=traffic)
    folder = Path(repo)
    if WEIGHTS not in listing.files and INDEX not in listing.files:
        raise no_weights(listing)
    if "config.json" not in listing.files:
        raise InvalidModelError(f"{folder / 'config.json'}: there is no such file")
    sharded = WEIGHTS not in listing.files
    small = {"config.json": MAX_CONFIG_BYTES, INDEX: MAX_INDEX_BYTES}
    with explained(repo, revision):
        jobs = [
            partial(_small_file, listing, name, limit, traffic)
            for name, limit in small.items()
            if name == "config.json" or sharded
        ]
        texts = dict(_all_at_once(jobs, traffic))
        config = parse_json_object(texts["config.json"], folder / "config.json")
        weight_map = {}
        if sharded:
            index = folder / INDEX
            weight_map = parse_index(parse_json_object(texts[INDEX], index), index)
        shards = listed_shards(listing, weight_map) if sharded else [WEIGHTS]
        files = [listing.files[name] for name in shards]
        found = _read_headers(listing, files, traffic)
    headers = found[0].tensors if not sharded else join_shards(weight_map, found, folder)
    return RemoteModel(
        name=repo,
        folder=folder,
        commit=listing.commit,
        config=config,
        headers=headers,
        requests=traffic.requests,
        bytes_read=traffic.bytes_read,
    )


def _read_headers(listing: Listing, files: list[RemoteFile], traffic: Traffic) -> list[Header]:
    """The headers of these files, in order."""
    budget = _Budget()
    jobs = [partial(_header, listing, file, traffic, budget) for file in files]
    found = dict(_all_at_once(jobs, traffic))
    return [found[file.name] for file in files]


class _Budget:
    """How many bytes of headers may still be asked for; any thread may take some."""

    def __init__(self) -> None:
        self._left = MAX_TOTAL_BYTES
        self._lock = threading.Lock()

    def take(self, n_bytes: int, file: Path) -> None:
        with self._lock:
            self._left -= n_bytes
            if self._left < 0:
                raise InvalidModelError(
                    f"{file}: with it the headers of this model are longer than "
                    f"{MAX_TOTAL_BYTES:,} bytes, the most that is read of them"
                )


def _header(
    listing: Listing, file: RemoteFile, traffic: Traffic, budget: _Budget
) -> tuple[str, Header]:
    path = Path(listing.repo) / file.name
    url = file_url(listing.repo, listing.commit, file.name)
    first = min(FIRST_BYTES, file.size)
    budget.take(first, path)
    data = read_range(url, 0, first, file.size, traffic)
    stop = header_stop(data[:64], file.size, path)
    if stop > first:
        budget.take(stop - first, path)
        data += read_range(url, first, stop, file.size, traffic)
    return file.name, parse_header(data[:stop], file.size, path)


def _small_file(listing: Listing, name: str, limit: int, traffic: Traffic) -> tuple[str, bytes]:
    file = listing.files[name]
    if file.size > limit:
        path = Path(listing.repo) / name
        raise InvalidModelError(f"{path}: larger than {limit:,} bytes, the most it may be")
    url = file_url(listing.repo, listing.commit, name)
    return name, read_range(url, 0, file.size, file.size, traffic)


def _all_at_once(jobs: Sequence[Callable[[], T]], traffic: Traffic) -> Iterator[T]:
    """What the jobs give, as each is done, `AT_ONCE` of them at a time; the first error ends all.

    A job may hang where no time limit reaches, in name resolution: when none of them moves, nobody
    waits. Nor does the end of the process: the threads are daemons.
    """
    waiting: queue.SimpleQueue[Callable[[], T]] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[T | None, BaseException | None]] = queue.SimpleQueue()
    for job in jobs:
        waiting.put(job)
    over = threading.Event()

    def work() -> None:
        while not over.is_set():
            try:
                job = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                done.put((job(), None))
            except BaseException as error:  # noqa: BLE001  (handed to the thread that waits)
                done.put((None, error))

    for _ in range(min(AT_ONCE, len(jobs))):
        threading.Thread(target=work, daemon=True).start()
    try:
        for _ in jobs:
            value, error = _next(done, traffic)
            if error is not None:
                raise error
            yield value  # type: ignore[misc]
    finally:
        over.set()


def _next(done: "queue.SimpleQueue[T]", traffic: Traffic) -> T:
    while True:
        before = (traffic.requests, traffic.bytes_read)
        try:
            return done.get(timeout=2 * STALL_SECONDS)
        except queue.Empty:
            if (traffic.requests, traffic.bytes_read) == before:
                raise TimeoutError from None

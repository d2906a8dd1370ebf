"""Documents to a search server, until it has taken or refused each of them."""

from __future__ import annotations

import gzip
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

import msgspec

from huntbeam.schemas.errors import UnusableError
from huntbeam.transforms.search_bulk import (
    FILTER,
    TOO_LARGE,
    Document,
    Outcome,
    Refused,
    Written,
    body,
    delays,
    outcome,
)
from huntbeam.transforms.search_http import Answer, Unreachable, Version

_HEADERS = {"content-type": "application/x-ndjson", "content-encoding": "gzip"}
_BULK = f"/_bulk?filter_path={FILTER}"
_LEVEL = 3  # of gzip: half of the time of the default, a tenth more bytes
_LARGE = 413
_BUSY = (429, 500, 502, 503, 504)


class Client(Protocol):
    """What a writer needs of SearchClient."""

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Asks once. Raises Unreachable."""

    def version(self) -> Version:
        """What answers. Raises Unreachable."""


class Writer:
    """Writes lists of documents, one after the other, and keeps trying for `patience` seconds; None: for ever."""

    def __init__(
        self,
        client: Client,
        patience: float | None = None,
        *,
        retried: Callable[[int], object] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._client = client
        self._patience = patience
        self._retried = retried  # told how many documents go out again
        self._clock, self._sleep, self._draw = clock, sleep, draw
        self._version: Version | None = None

    def write(self, documents: Sequence[Document]) -> Written:
        """What became of each. Raises UnusableError when patience ends, or when nothing more would go in."""
        written, left = Written(), list(documents)
        waits, began = delays(self._draws()), self._clock()
        while left:
            done, again, why = self._attempt(left)
            written += done
            if len(again) < len(left):  # the server takes some: it is slow, and not gone
                waits, began = delays(self._draws()), self._clock()
            left = again
            if left:
                self._wait(next(waits), began, why)
                self._retried(len(left))
        return written

    def _draws(self) -> Iterator[float]:
        while True:
            yield self._draw()

    def _wait(self, seconds: float, began: float, why: str) -> None:
        if self._patience is not None and self._clock() - began + seconds > self._patience:
            raise UnusableError(f"{why} for {self._patience:.0f} s: look at the server, then run again")
        self._sleep(seconds)

    def _attempt(self, documents: list[Document]) -> tuple[Written, list[Document], str]:
        """What was done with, what is left, and why it is."""
        try:
            if self._version is None:
                self._version = self._client.version()
            content = gzip.compress(body(documents, self._version.document_type), _LEVEL, mtime=0)
            answer = self._client.request("POST", _BULK, content, _HEADERS)
        except Unreachable as error:
            return Written(), documents, str(error)
        if answer.status == _LARGE:
            return (*self._halved(documents), "the server takes smaller requests only")
        if answer.status in _BUSY:
            return Written(), documents, f"the server is busy (status {answer.status})"
        if answer.status >= 300:
            raise UnusableError(f"the search server refuses to be written to: {answer.error()}")
        return (*_outcome(answer, documents), "the server is busy")

    def _halved(self, documents: list[Document]) -> tuple[Written, list[Document]]:
        """A request that the server, or a proxy before it, does not take as a whole."""
        if len(documents) == 1:
            return Written(refused=[Refused(documents[0], TOO_LARGE)]), []
        half = len(documents) // 2
        return self.write(documents[:half]) + self.write(documents[half:]), []


def _outcome(answer: Answer, documents: list[Document]) -> Outcome:
    try:
        return outcome(answer.body, documents)
    except msgspec.DecodeError:
        raise UnusableError("what answers is no search server: check the URL") from None

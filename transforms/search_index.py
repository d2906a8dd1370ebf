"""WriteToSearchIndex: documents into OpenSearch 1 to 3 or Elasticsearch 6 to 9, from any Beam pipeline.

It knows nothing of HuntBeam's rows (huntbeam.transforms.search_rows does):

    documents | WriteToSearchIndex(SearchServer("https://search:9200", auth="env:SEARCH_LOGIN", ca="ca.pem"))

What a bundle brings is written before the bundle is done, so whatever a runner repeats is written again under the same
ids. A bundle waits while the server does not take it: memory stays bounded, the runner holds back what comes behind.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import msgspec
from apache_beam.metrics import Metrics
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.windowed_value import WindowedValue

from huntbeam.transforms.search_bulk import LIMITS, Batch, Document, Limits, Written
from huntbeam.transforms.search_http import SearchClient, SearchServer
from huntbeam.transforms.search_writer import Writer


class Documents(list[Document]):
    """The type hint of a list of documents. Plain lists are as good."""


class _Coder(beam.coders.Coder):
    """Msgpack, between stages of a distributed runner only. It holds nothing: two of a class are equal."""

    def encode(self, value: Any) -> bytes:
        """Whatever it holds."""
        return _encode(value)

    def is_deterministic(self) -> bool:
        """They are no keys."""
        return False


class DocumentsCoder(_Coder):
    """Of lists of documents."""

    def decode(self, encoded: bytes) -> list[Document]:
        """The documents in their order."""
        return _decode_documents(encoded)


class WrittenCoder(_Coder):
    """Of what became of them."""

    def decode(self, encoded: bytes) -> Written:
        """As it was."""
        return _decode_written(encoded)


_encode = msgspec.msgpack.Encoder().encode
_decode_documents = msgspec.msgpack.Decoder(list[Document]).decode
_decode_written = msgspec.msgpack.Decoder(Written).decode
beam.coders.registry.register_coder(Documents, DocumentsCoder)
beam.coders.registry.register_coder(Written, WrittenCoder)


@dataclass
class WriteToSearchIndex(beam.PTransform):
    """Lists of documents -> what became of them (Written): how many, and those refused, which are never dropped.

    `patience` is how many seconds a request is tried; None, as a stream wants it: for ever. An error of the server that
    waiting does not mend (a login, a right) fails the bundle with an UnusableError.
    """

    server: SearchServer
    patience: float | None = None
    limits: Limits = LIMITS

    def expand(self, documents: beam.PCollection) -> beam.PCollection:
        """PCollection[list[Document]] -> PCollection[Written]."""
        step = beam.ParDo(WriteDocumentsFn(self.server, self.patience, self.limits))
        return documents | "Bulk" >> step.with_output_types(Written)


class WriteDocumentsFn(beam.DoFn):
    """One connection a worker's step; requests of one bundle go one after the other."""

    def __init__(self, server: SearchServer, patience: float | None, limits: Limits) -> None:
        self._server, self._patience, self._limits = server, patience, limits
        self._stored = Metrics.counter(self.__class__, "indexed")
        self._superseded = Metrics.counter(self.__class__, "index_superseded")
        self._refused = Metrics.counter(self.__class__, "index_refused")
        self._retried = Metrics.counter(self.__class__, "index_retried")

    def setup(self) -> None:
        """Once a worker process and step; the login is read here, where it is used."""
        self._client = SearchClient(self._server)
        self._writer = Writer(self._client, self._patience, retried=self._retried.inc)
        self._batch = Batch(self._limits)

    def start_bundle(self) -> None:
        """Forgets what a failed bundle left."""
        self._batch = Batch(self._limits)

    def process(self, documents: Iterable[Document]) -> Iterator[Written]:
        """Writes what fills a request; the rest waits for more of the bundle."""
        for document in documents:
            if self._batch.full(document):
                yield self._write()
            self._batch.add(document)

    def finish_bundle(self) -> Iterator[WindowedValue]:
        """Writes the rest."""
        written = self._write()
        if written != Written():
            yield WindowedValue(written, GlobalWindow().max_timestamp(), (GlobalWindow(),))

    def teardown(self) -> None:
        """Lets go of the connection."""
        self._client.close()

    def _write(self) -> Written:
        documents, doubled = self._batch.take()
        written = self._writer.write(documents) + Written(superseded=doubled)
        self._stored.inc(written.stored)
        self._superseded.inc(written.superseded)
        self._refused.inc(len(written.refused))
        return written

"""The streams that go into a search index, beside wherever else they go. Replay and stream share it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import apache_beam as beam

from huntbeam.pipelines.index_options import Indexing
from huntbeam.schemas import streams
from huntbeam.schemas.dead_letter import DeadLetter
from huntbeam.transforms.batches import Batch
from huntbeam.transforms.search_bulk import Document, Written
from huntbeam.transforms.search_index import Documents, WriteToSearchIndex
from huntbeam.transforms.search_rows import DocumentMaker, refusal, today


@dataclass
class IndexRows(beam.PTransform):
    """Batches of rows by stream -> what became of their documents (Written), from one step that writes them all."""

    indexing: Indexing

    def expand(self, rows: Mapping[str, beam.PCollection]) -> beam.PCollection:
        """Mapping of stream to PCollection[list[Row]] -> PCollection[Written]."""
        documents = [
            batches | f"Documents_{stream}" >> _documents(stream, self.indexing.prefix)
            for stream, batches in rows.items()
        ]
        patience = self.indexing.patience_ms
        return (
            documents
            | "Streams" >> beam.Flatten()
            | "Write" >> WriteToSearchIndex(self.indexing.server, None if patience is None else patience / 1000)
        )


def index(
    rows: Mapping[str, beam.PCollection], indexing: Indexing
) -> tuple[dict[str, beam.PCollection], beam.PCollection]:
    """Wires the index; gives the rows, with refused documents among the dead letters, and PCollection[Written].

    What the index refuses of them is put out, but not indexed in turn.
    """
    wanted = {name: batches for name, batches in rows.items() if name in indexing.streams}
    written = wanted | "Index" >> IndexRows(indexing)
    refused = written | "Refused" >> beam.FlatMap(_refusals).with_output_types(Batch)
    dead = (rows[streams.DEAD_LETTERS], refused) | "WithRefused" >> beam.Flatten()
    return {**rows, streams.DEAD_LETTERS: dead}, written


def tallies(written: Written) -> dict[str, int]:
    """What is counted of documents, by the names of the metrics."""
    counts = {
        "indexed": written.stored,
        "index_superseded": written.superseded,
        "index_refused": len(written.refused),
    }
    return {name: count for name, count in counts.items() if count}


def _documents(stream: str, prefix: str) -> beam.PTransform:
    step = beam.ParDo(_DocumentsFn(stream, prefix))
    step.label = "Do"
    return step.with_output_types(Documents)


class _DocumentsFn(beam.DoFn):
    def __init__(self, stream: str, prefix: str) -> None:
        self._stream, self._prefix = stream, prefix

    def setup(self) -> None:
        self._maker = DocumentMaker(self._stream, self._prefix)

    def process(self, batch: Iterable[object]) -> Iterator[list[Document]]:
        day, make = today(), self._maker.document
        yield [make(row, day) for row in batch]  # type: ignore[arg-type]  # rows of the stream


def _refusals(written: Written) -> Iterator[list[DeadLetter]]:
    if written.refused:
        yield [refusal(refused) for refused in written.refused]

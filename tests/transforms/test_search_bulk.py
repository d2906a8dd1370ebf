"""The body of a request, what goes out together, and what an answer means."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import repeat
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from huntbeam.schemas.errors import UnusableError
from huntbeam.transforms.search_bulk import (
    Batch,
    Document,
    Limits,
    Refused,
    Verdict,
    Written,
    body,
    delays,
    outcome,
    verdict,
)


def document(number: int = 0, version: int | None = None, size: int = 10) -> Document:
    return Document("logs-2026.11.20", f"id{number}", b'"%s"' % (b"x" * size), version)


documents = st.builds(document, st.integers(0, 6), st.none() | st.integers(0, 3), st.integers(0, 300))


def packed(found: list[Document], limits: Limits) -> Iterator[tuple[list[Document], int]]:
    batch = Batch(limits)
    for one in found:
        if batch.full(one):
            yield batch.take()
        batch.add(one)
    yield batch.take()


class TestBody:
    def test_an_action_line_and_the_document(self) -> None:
        lines = [json.loads(line) for line in body([document(1), document(2, 7)]).splitlines()]
        assert lines == [
            {"index": {"_index": "logs-2026.11.20", "_id": "id1"}},
            "x" * 10,
            {"index": {"_index": "logs-2026.11.20", "_id": "id2", "version": 7, "version_type": "external"}},
            "x" * 10,
        ]

    def test_the_type_of_elasticsearch_6(self) -> None:
        action = json.loads(body([document()], "doc").splitlines()[0])
        assert action["index"]["_type"] == "doc"

    @given(st.lists(documents))
    def test_two_lines_a_document_whatever_it_holds(self, found: list[Document]) -> None:
        assert body(found).count(b"\n") == 2 * len(found)


class TestBatch:
    @given(st.lists(documents, max_size=40), st.integers(1, 9), st.integers(1, 2_000))
    def test_no_request_is_over_the_limits_and_none_has_an_id_twice(
        self, found: list[Document], count: int, size: int
    ) -> None:
        taken = list(packed(found, Limits(count, size)))
        assert sum(len(some) + doubled for some, doubled in taken) == len(found)
        for some, _ in taken:
            assert len({one.id for one in some}) == len(some) <= count
            assert len(some) == 1 or sum(one.size() for one in some) <= size or not some

    @given(st.lists(documents, max_size=40), st.integers(1, 9))
    def test_what_stays_is_what_a_server_would_have_kept(self, found: list[Document], count: int) -> None:
        def kept(requests: list[list[Document]]) -> dict[str, Document]:
            held: dict[str, Document] = {}
            for one in (one for some in requests for one in some):
                known = held.get(one.id)
                if known is None or (one.version or 0) >= (known.version or 0):
                    held[one.id] = one
            return held

        assert kept([some for some, _ in packed(found, Limits(count))]) == kept([[one] for one in found])

    def test_one_that_is_too_large_goes_alone(self) -> None:
        taken = [some for some, _ in packed([document(1), document(2, size=9_000), document(3)], Limits(bytes=1_000))]
        assert [[one.id for one in some] for some in taken] == [["id1"], ["id2"], ["id3"]]


def answer(*items: tuple[int, str | None]) -> bytes:
    made: list[dict[str, Any]] = [
        {"index": {"status": status, **({"error": {"type": error, "reason": "r"}} if error else {})}}
        for status, error in items
    ]
    return json.dumps({"errors": True, "items": made}).encode()


class TestAnswer:
    @pytest.mark.parametrize(
        ("status", "error", "means"),
        [
            (201, None, Verdict.STORED),
            (200, None, Verdict.STORED),
            (409, "version_conflict_engine_exception", Verdict.SUPERSEDED),
            (429, "es_rejected_execution_exception", Verdict.AGAIN),
            (503, "unavailable_shards_exception", Verdict.AGAIN),
            (403, "cluster_block_exception", Verdict.AGAIN),
            (400, "mapper_parsing_exception", Verdict.REFUSED),
            (500, "null_pointer_exception", Verdict.REFUSED),
            (403, "security_exception", Verdict.FATAL),
            (404, "index_not_found_exception", Verdict.FATAL),
        ],
    )
    def test_a_status(self, status: int, error: str | None, means: Verdict) -> None:
        assert verdict(status, error) is means

    @given(st.lists(st.sampled_from([(201, None), (409, "x"), (429, "y"), (400, "z")]), max_size=30))
    def test_every_document_is_in_one_place(self, items: list[tuple[int, str | None]]) -> None:
        sent = [document(number) for number in range(len(items))]
        written, again = outcome(answer(*items), sent)
        assert written.stored + written.superseded + len(written.refused) + len(again) == len(sent)
        assert again == [one for one, (status, _) in zip(sent, items, strict=True) if status == 429]
        assert [r.document for r in written.refused] == [
            one for one, (status, _) in zip(sent, items, strict=True) if status == 400
        ]

    def test_what_is_refused_names_the_field_and_never_its_value(self) -> None:
        reason = "failed to parse field [dst_ip_addr] of type [ip] in document with id 'i'. Preview: 'secret'"
        found = {"items": [{"index": {"status": 400, "error": {"type": "mapper_parsing_exception", "reason": reason}}}]}
        written, _ = outcome(json.dumps(found).encode(), [document()])
        assert written.refused == [Refused(document(), "mapper_parsing_exception", "dst_ip_addr (ip)")]

    @pytest.mark.parametrize("kind", ["a\nb", "x" * 200, "<script>"])
    def test_an_odd_name_of_an_error_is_not_repeated(self, kind: str) -> None:
        written, _ = outcome(answer((400, kind)), [document()])
        assert written.refused == [Refused(document(), "unknown")]

    def test_what_nobody_may_write_ends_the_run(self) -> None:
        with pytest.raises(UnusableError, match=r"logs-2026.11.20 cannot be written \(security_exception, status 403"):
            outcome(answer((403, "security_exception")), [document()])

    @pytest.mark.parametrize("text", [b"", b"<html>", b"[]", b'{"items": []}', b'{"items": 3}'])
    def test_what_is_no_answer(self, text: bytes) -> None:
        with pytest.raises(msgspec.DecodeError):
            outcome(text, [document()])


def test_parts_add_up() -> None:
    refused = Refused(document(), "e")
    assert Written(1, 2, [refused]) + Written(3, 4) == Written(4, 6, [refused])


class TestDelays:
    def test_twice_as_long_each_time_up_to_the_most(self) -> None:
        waits = delays(repeat(1.0))
        assert [next(waits) for _ in range(8)] == [0.5, 1, 2, 4, 8, 15, 15, 15]

    @given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
    def test_chance_takes_half_of_it_at_most(self, draws: list[float]) -> None:
        for wait, whole in zip(delays(iter(draws)), [0.5, 1, 2, 4, 8, 15, 15, 15, 15, 15, 15, 15], strict=False):
            assert whole / 2 <= wait <= whole

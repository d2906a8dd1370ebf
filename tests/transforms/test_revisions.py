"""Rows that are put out again: what is put out, and what is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huntbeam.transforms.revisions import Shown, mark, revised
from tests.transforms.anomaly.test_evaluate import row

A, B = mark(row(0)), mark(row(1))


@pytest.mark.parametrize(
    ("shown", "content", "put_out"),
    [
        (None, None, None),
        (None, A, Shown(A)),
        (Shown(A), A, None),
        (Shown(A), B, Shown(B, 1)),
        (Shown(A, 4), None, Shown(A, 5, True)),
        (Shown(A, 5, True), None, None),
        (Shown(A, 5, True), A, Shown(A, 6)),
    ],
)
def test_what_is_put_out(shown: Shown | None, content: bytes | None, put_out: Shown | None) -> None:
    assert revised(shown, content) == put_out


@given(st.lists(st.sampled_from([None, A, B])))
def test_the_last_row_says_how_things_stand(contents: list[bytes | None]) -> None:
    shown: Shown | None = None
    for n, content in enumerate(contents):
        put_out = revised(shown, content)
        if put_out is not None:
            assert put_out.revision == (0 if shown is None else shown.revision + 1)
            shown = put_out
        standing = None if shown is None or shown.retracted else shown.mark
        assert standing == contents[n]

"""Batches between stages: what goes in comes out, of any record type and mixture."""

from __future__ import annotations

import pytest
from apache_beam.coders import registry

from huntbeam.schemas.sysmon import ContextCreate
from huntbeam.transforms.batches import ROW_BYTES, Batch, BatchCoder, DigestedCoder
from huntbeam.transforms.digest import Digested
from huntbeam.transforms.windows import Accumulator
from tests.transforms.test_join import GUIDS, connect, create

CREATE = create(GUIDS[1], "p")
CONTEXT = ContextCreate(*(getattr(CREATE, name) for name in CREATE.__struct_fields__))
COUNTED = Accumulator("c", 0, ("ws-1", None, 443), "WS-1", 2, [{1, 2}], False, "a", "b")


@pytest.mark.parametrize("batch", [[], [CREATE], [CREATE, connect(GUIDS[1], "c"), CREATE, CONTEXT], [COUNTED, COUNTED]])
def test_a_batch_comes_out_as_it_went_in(batch: list[object]) -> None:
    coder = BatchCoder()
    back = coder.decode(coder.encode(batch))
    assert back == batch
    assert [type(row) for row in back] == [type(row) for row in batch]
    assert coder.estimate_size(batch) == len(batch) * ROW_BYTES


def test_beam_takes_it_for_the_type_hint() -> None:
    assert isinstance(registry.get_coder(Batch), BatchCoder)


def test_digested_records_come_out_as_they_went_in() -> None:
    coder = DigestedCoder()
    digested = Digested([CREATE], [CONTEXT], [connect(GUIDS[1], "c")], tallies={"blank": 1}, pairs=[("p", 1, 2)])
    assert coder.decode(coder.encode(digested)) == digested
    assert coder.estimate_size(digested) == 3 * ROW_BYTES
    assert isinstance(registry.get_coder(Digested), DigestedCoder)

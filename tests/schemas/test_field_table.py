from pathlib import Path

from huntbeam.schemas.field_table import markdown
from huntbeam.schemas.record import columns
from huntbeam.schemas.streams import STREAMS

FIELDS = Path(__file__).parents[2] / "docs" / "fields.md"


def test_the_document_is_up_to_date() -> None:
    assert FIELDS.read_text(encoding="utf-8") == markdown(), "python -m huntbeam.schemas.field_table > docs/fields.md"


def test_each_stream_has_a_table_of_all_its_columns() -> None:
    sections = dict(section.split("\n", 1) for section in markdown().split("\n## ")[1:])
    assert list(sections) == list(STREAMS)
    for stream, record in STREAMS.items():
        rows = [line for line in sections[stream].splitlines() if line.startswith("| `")]
        assert [row.split("`")[1] for row in rows] == [column.name for column in columns(record)]


def test_special_characters_are_shown_as_they_are() -> None:
    assert r"Account, DOMAIN\\name" in markdown()

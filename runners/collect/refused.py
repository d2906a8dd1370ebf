"""What Kafka refuses for good, as dead letters in a file of the spool's folder."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import msgspec

from huntbeam.schemas.dead_letter import Original, RecordError, dead_letter

NAME = "refused.jsonl"


class RefusedFile:
    """Dead letters, one a line, up to `max_bytes`; the file is made with the first one."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._path = folder / NAME
        self._max = max_bytes
        self._file: BinaryIO | None = None

    def refuse(self, record: bytes, reason: str) -> None:
        """Keeps a record, unless the file is full or its disk refuses it; the collector counts it anyway."""
        error = RecordError("collect", "refused", f"Kafka refuses the record for good: {reason}")
        row = msgspec.json.encode(dead_letter(error, Original.of(record), "collect", None)) + b"\n"
        try:
            if self._file is None:
                self._file = self._path.open("ab")
            if self._file.tell() + len(row) <= self._max:
                self._file.write(row)
                self._file.flush()
        except OSError:
            return

    def close(self) -> None:
        """Closes the file."""
        if self._file is not None:
            self._file.close()

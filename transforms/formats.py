"""The formats of files, told by content, and the items that readers hand on. What is wrong becomes an item too."""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from hashlib import sha256

from huntbeam.schemas.dead_letter import RAW_LIMIT, Original, RecordError
from huntbeam.schemas.errors import UnusableError

MAX_RECORD = 16 << 20  # a longer line or element is refused: the longest real one seen has 45 kB

GZIP = b"\x1f\x8b"
EVTX = b"ElfFile\0"
BLANK = b" \t\r\n"


class InputError(UnusableError):
    """An input cannot be used at all."""


@dataclass(slots=True)
class Records:
    """Elements of an array or records of an EVTX file: (number, JSON text). None where bytes were only passed over."""

    items: list[tuple[int, bytes]]
    consumed: int = 0


@dataclass(slots=True)
class Torn:
    """A piece of the file that cannot be used, with its bytes and why."""

    error: RecordError
    original: Original
    position: int | None
    consumed: int = 0


class Fault:
    """Why a source ended early. Without `garbage` the unfinished record before it belongs to the fault."""

    def __init__(self, error_class: str, message: str, tail: bytes = b"", garbage: Original | None = None) -> None:
        self.error = RecordError("read", error_class, message)
        self.tail = tail  # bytes behind the unfinished record
        self.garbage = garbage

    def torn(self, unfinished: bytes | Original, position: int | None) -> Torn:
        """The item that stands for it."""
        if isinstance(unfinished, bytes):
            unfinished = Original.of(unfinished + self.tail)
        return Torn(self.error, self.garbage or unfinished, position)


def too_long(original: Original, position: int, limit: int) -> Torn:
    """The item that stands for a line or an element nobody should hold."""
    return Torn(RecordError("read", "RecordTooLong", f"longer than {limit} bytes"), original, position)


def original_bytes(raw: bytes, wide: str | None) -> bytes:
    """The bytes of the original that this text was made of."""
    return raw if wide is None else raw.decode("utf-8", "surrogatepass").encode(wide, "surrogatepass")


class OriginalDigest:
    """An Original made piece by piece, for what is too long to hold."""

    def __init__(self, wide: str | None = None) -> None:
        self._head = bytearray()
        self._length = 0
        self._hash = sha256()
        self._wide = wide
        self._text = codecs.getincrementaldecoder("utf-8")("surrogatepass")  # a piece may end inside a character

    def update(self, piece: bytes | memoryview) -> None:
        """Adds a piece."""
        raw = bytes(piece) if self._wide is None else self._text.decode(piece).encode(self._wide, "surrogatepass")
        self._head += raw[: RAW_LIMIT - len(self._head)]
        self._length += len(raw)
        self._hash.update(raw)

    def original(self) -> Original:
        """What is kept of all pieces."""
        return Original(bytes(self._head), self._length, self._hash.hexdigest())


UNSUPPORTED: tuple[tuple[int, bytes, str], ...] = (
    (0, b"PK\x03\x04", "a zip archive: unpack it first"),
    (0, b"PK\x05\x06", "an empty zip archive"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive: unpack it first"),
    (0, b"\xfd7zXZ\0", "compressed with xz: unpack it first"),
    (0, b"BZh", "compressed with bzip2: unpack it first"),
    (0, b"\x28\xb5\x2f\xfd", "compressed with zstd: unpack it first"),
    (0, b"PAR1", "a Parquet file: export it as one JSON object per line"),
    (0, b"Obj\x01", "an Avro file: export it as one JSON object per line"),
    (0, b"\xd4\xc3\xb2\xa1", "a packet capture, no event records: leave it out"),
    (0, b"\xa1\xb2\xc3\xd4", "a packet capture, no event records: leave it out"),
    (0, b"\x4d\x3c\xb2\xa1", "a packet capture, no event records: leave it out"),
    (0, b"\xa1\xb2\x3c\x4d", "a packet capture, no event records: leave it out"),
    (0, b"\x0a\x0d\x0d\x0a", "a packet capture, no event records: leave it out"),
    (0, codecs.BOM_UTF32_LE, "UTF-32 text: convert it to UTF-8"),
    (0, codecs.BOM_UTF32_BE, "UTF-32 text: convert it to UTF-8"),
    (257, b"ustar", "a tar archive: unpack it first"),
)


def unsupported(head: bytes) -> str | None:
    """What a file of a known but unreadable format is and what to do with it."""
    return next((what for at, magic, what in UNSUPPORTED if head.startswith(magic, at)), None)


def refusal(what: str) -> Fault:
    """The fault of a file that is no event records."""
    return Fault("UnsupportedFormat", f"the file is {what}")


def is_gzip(head: bytes) -> bool:
    """Whether it is gzip; a file of its first byte alone is a gzip file torn there."""
    return head.startswith(GZIP) or head == GZIP[:1]


def wide_codec(head: bytes) -> str | None:
    """The codec of a file that begins with a UTF-16 byte order mark."""
    if head.startswith(codecs.BOM_UTF16_LE):
        return "utf-16-le"
    return "utf-16-be" if head.startswith(codecs.BOM_UTF16_BE) else None


def is_array(head: bytes) -> bool:
    """Whether the text begins with `[`."""
    return head.lstrip(BLANK).startswith(b"[")


def is_evtx(head: bytes) -> bool:
    """Whether it is Windows' own format."""
    return head.startswith(EVTX)


def without_bom(head: bytes) -> bytes:
    """The text behind a UTF-8 byte order mark."""
    return head.removeprefix(codecs.BOM_UTF8)

"""Syslog around a record: the header before it, and what parts records in a TCP stream. Pure.

RFC 3164 (and what is sent in its name), RFC 5424; RFC 6587 for octet counting and newlines.
"""

from __future__ import annotations

import re
from enum import Enum

_PRI = rb"<(?:\d|[1-9]\d|1[0-8]\d|19[01])>"
_ISO = rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[^ \t]{0,40}+"
_BSD = (
    rb"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [ \d]\d (?:\d{4} )?\d\d:\d\d:\d\d(?:\.\d{1,9}+)?(?: \d{4})?"
)
_TAG = rb"[A-Za-z0-9_./()-]{1,64}+(?:\[[^\] \t]{0,64}+\])?: ?"
_ELEMENT = rb'\[[^ =\]"\t]{1,255}+(?: [^ =\]"\t]{1,255}+="(?:[^"\\]|\\.)*+")*+ ?\]'

# every repetition is possessive or of one width: attackers write what they match against
_RFC5424 = re.compile(
    _PRI + rb"[1-9]\d{0,2}+ (?:-|" + _ISO + rb")(?: [!-~]{1,255}+){4} (?:-|(?:" + _ELEMENT + rb")++)"
    rb"(?: (?:\xef\xbb\xbf)?|\Z)",
    re.DOTALL,
)
_RFC3164 = re.compile(
    _PRI + rb"(?:(?:" + _BSD + rb"|" + _ISO + rb"):? (?:[^ \t]{1,255}+ )?(?:" + _TAG + rb")?"
    rb"|" + _TAG + rb"(?=[^ \t]{0,64}+\t))?"  # without a time a word with a colon is a tag only before columns
)
_LINE_ENDS = b"\r\n\0"


class Header(Enum):
    """What stood before a record."""

    RFC3164 = "rfc3164"
    RFC5424 = "rfc5424"


def take_off(message: bytes) -> tuple[bytes, Header | None]:
    r"""The record without its syslog header, and which that was. With it go the line ends or NULs at its end.

    A message without a header, or with nothing behind it, comes back as it is.

    >>> take_off(b"<134>Oct 11 22:14:15 ws-1 monster: 1500\tk")[0]
    b'1500\tk'
    >>> take_off(b"<134>1 2024-03-04T05:06:07Z ws-1 monster - - - 1500\tk")[0]
    b'1500\tk'
    """
    if not message.startswith(b"<"):
        return message, None
    for pattern, header in ((_RFC5424, Header.RFC5424), (_RFC3164, Header.RFC3164)):
        match = pattern.match(message)
        if match:
            record = message[match.end() :].rstrip(_LINE_ENDS)
            return (record, header) if record else (message, None)
    return message, None


class Framing(Enum):
    """How records are parted in a TCP stream."""

    AUTO = "auto"  # each record tells: a number and a space before it is its length, else its line ends
    NEWLINE = "newline"


_COUNT = re.compile(rb"[1-9]\d{0,8}+ ")  # a bare record begins with a number and a tab
_COUNT_BEGUN = re.compile(rb"[1-9]\d{0,8}+\Z")
_NEWLINE = b"\n"


class Framer:
    """Parts the stream of one connection into records; holds at most `limit` bytes and what one `feed` brings.

    A record longer than `limit` bytes is cut there, and `cut` counts it; the rest of it is skipped.
    """

    def __init__(self, limit: int, framing: Framing = Framing.AUTO) -> None:
        self.cut = 0
        self._limit = limit
        self._framing = framing
        self._held = bytearray()
        self._searched = 0  # so many bytes of what is held have no line end: each byte is looked at once
        self._skip = 0  # bytes of a counted record that are still to be left out
        self._skip_line = False  # everything up to the next line end is

    def feed(self, data: bytes) -> list[bytes]:
        """The records that `data` completes; an empty line is an empty record."""
        held, at = self._held, 0
        held += data
        records = []
        while at < len(held):
            if self._skip or self._skip_line:
                at = self._skipped(at)
                continue
            found = self._record(at)
            if found is None:
                break
            record, at = found
            self._searched = 0
            records.append(record)
        del held[:at]
        return records

    def finish(self) -> list[bytes]:
        """What is left when the stream has ended: a record without its line end, or the part of a counted one."""
        left, self._held = bytes(self._held), bytearray()
        count = self._count(left, 0)
        if count:
            self.cut += 1
            left = left[count.end() :]
        return [left.removesuffix(b"\r")] if left else []

    def _skipped(self, at: int) -> int:
        if self._skip:
            step = min(self._skip, len(self._held) - at)
            self._skip -= step
            return at + step
        end = self._held.find(_NEWLINE, at)
        self._skip_line = end < 0
        return len(self._held) if end < 0 else end + 1

    def _count(self, held: bytes | bytearray, at: int) -> re.Match[bytes] | None:
        return _COUNT.match(held, at) if self._framing is Framing.AUTO else None

    def _record(self, at: int) -> tuple[bytes, int] | None:
        """The record at `at` and where the next begins; None when more has to come."""
        count = self._count(self._held, at)
        if count:
            begin, length = count.end(), int(count[0])
            del count  # it keeps the buffer from changing its size
            return self._counted(begin, length)
        if self._framing is Framing.AUTO and len(self._held) - at < 10 and _COUNT_BEGUN.match(self._held, at):
            return None
        return self._line(at)

    def _counted(self, at: int, length: int) -> tuple[bytes, int] | None:
        taken = min(length, self._limit)
        if len(self._held) - at < taken:
            return None
        if taken < length:
            self.cut += 1
            self._skip = length - taken
        return bytes(self._held[at : at + taken]), at + taken

    def _line(self, at: int) -> tuple[bytes, int] | None:
        most = at + self._limit + 2  # the line and its CR LF
        end = self._held.find(_NEWLINE, at + self._searched, most)
        if end >= 0:
            line = bytes(self._held[at:end]).removesuffix(b"\r")
            if len(line) <= self._limit:
                return line, end + 1
        elif len(self._held) < most:
            self._searched = len(self._held) - at
            return None
        self.cut += 1
        self._skip_line = True
        return bytes(self._held[at : at + self._limit]), at + self._limit

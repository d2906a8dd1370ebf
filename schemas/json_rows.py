"""JSON lines: one object per row, keys in column order."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

_encoder = msgspec.json.Encoder()


def json_lines(rows: Sequence[msgspec.Struct]) -> bytes:
    """The rows as UTF-8, one object a line, each line ended by LF; b"" without rows.

    Text goes out as it is, so U+2028 and U+2029 may stand within a line; LF and NUL are escaped.
    Raises UnicodeEncodeError for half of a surrogate pair, which no decoded JSON holds.
    """
    return _encoder.encode_lines(rows)

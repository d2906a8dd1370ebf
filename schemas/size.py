"""Numbers of bytes as people write them."""

from __future__ import annotations

import re

_SIZE = re.compile(r"(\d{1,15})\s?([kMGT]?)(i?)B?", re.ASCII)
_POWER = {"": 0, "k": 1, "M": 2, "G": 3, "T": 4}


def parse_size(text: str) -> int:
    """Bytes of `1GiB`, `64 MiB`, `500MB`, `4096`. Raises ValueError.

    >>> parse_size("1GiB"), parse_size("500kB"), parse_size("4096")
    (1073741824, 500000, 4096)
    """
    match = _SIZE.fullmatch(text.strip().replace("K", "k"))
    if not match or (match[3] and not match[2]):
        raise ValueError(f"{text!r} is no size: write a number with B, kB, MB, GB, KiB, MiB or GiB, such as 1GiB")
    unit: int = (1024 if match[3] else 1000) ** _POWER[match[2]]
    return int(match[1]) * unit

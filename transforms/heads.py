"""Heads of records: just enough to tell their kinds by. Everything else is skipped unread."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from huntbeam.transforms.read import Block

Written = tuple[str | None, str | int | None, str | None]  # provider, event id and channel as a record writes them

_DECODE_ERRORS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_OPEN, _CLOSE = b"{}"


class _Winlog(msgspec.Struct, gc=False):
    provider_name: str | None = None
    event_id: int | str | None = None
    channel: str | None = None


class Head(msgspec.Struct, gc=False):
    """Where the shapes have their provider, event id and channel."""

    winlog: _Winlog | None = None
    source_name: str | None = None
    log_name: str | None = None
    event_id: int | str | None = None
    Channel: str | None = None
    EventID: int | str | None = None
    SourceName: str | None = None
    Provider: str | None = None


_decoder = msgspec.json.Decoder(Head)


def decode_heads(block: Block, ends: list[int]) -> Sequence[Head | None]:
    """The head of each line, None for a line that is not one whole JSON object of a known form.

    All lines at once where that gives the same: each begins with { and ends with }. An object cannot go on from one
    such line to the next, since a comma would have to stand between, so as many objects as lines are one a line.
    """
    buffer, start = block.buffer, block.start
    for end in ends:
        if buffer[start] != _OPEN or buffer[end - 1] != _CLOSE:
            break
        start = end + 1
    else:
        try:
            heads = _decoder.decode_lines(block.data)
        except _DECODE_ERRORS:
            heads = []
        if len(heads) == len(ends):
            return heads
    return [decode_head(line) for line in _lines(block, ends)]


def _lines(block: Block, ends: list[int]) -> Iterator[memoryview]:
    view, start = memoryview(block.buffer), block.start
    for end in ends:
        yield view[start:end]
        start = end + 1


def decode_head(line: bytes | memoryview) -> Head | None:
    """The head of one record; None of what is not one whole JSON object of a known form."""
    try:
        return _decoder.decode(line)
    except _DECODE_ERRORS:
        return None


def written(head: Head) -> Written:
    """What a record says of its kind; without an event id the head alone does not tell it."""
    winlog = head.winlog
    if winlog is not None:
        return winlog.provider_name, winlog.event_id, winlog.channel
    if head.event_id is not None:
        return head.source_name, head.event_id, head.log_name
    return head.SourceName or head.Provider, head.EventID, head.Channel

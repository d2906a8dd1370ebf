"""Whose records rules are compiled for. Loads nothing: whoever asks for rules says it."""

from __future__ import annotations

from enum import StrEnum


class Records(StrEnum):
    """What a rule's log source is turned into."""

    WINDOWS = "windows"
    MONSTER = "monster"


def marks(records: Records) -> list[str]:
    """What a rule set's hash has of it: of Windows' nothing."""
    return [] if records is Records.WINDOWS else [records.value]

"""Arrival: a Beam timestamp as milliseconds. An element's timestamp is when it came, never when it happened."""

from __future__ import annotations

from apache_beam.utils.timestamp import Timestamp


def millis(timestamp: Timestamp) -> int:
    """Milliseconds since 1970."""
    return int(timestamp.micros // 1000)


def timestamp(millis: int) -> Timestamp:
    """The Beam timestamp of milliseconds since 1970."""
    return Timestamp(micros=millis * 1000)

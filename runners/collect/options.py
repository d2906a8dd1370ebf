"""What `huntbeam collect` is asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from huntbeam.runners.collect.sockets import Address
from huntbeam.runners.collect.tcp import TcpSettings


@dataclass(frozen=True)
class CollectOptions:
    """What `huntbeam collect` was asked to do. Times in seconds."""

    syslog: Address
    tcp: TcpSettings | None
    topic: str
    keep_headers: bool
    receive_buffer: int
    spool: Path
    spool_max_bytes: int
    spool_always: bool
    metrics: Address | None
    status: Path | None
    stop_timeout: float
    quiet: bool

    @property
    def folder(self) -> Path:
        """The spool of this topic."""
        return self.spool / self.topic

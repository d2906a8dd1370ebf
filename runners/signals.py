"""SIGINT and SIGTERM, heard while a block runs; what they lead to is the subclass's to say."""

from __future__ import annotations

import signal
import threading
from typing import Any, Self


class Heard:
    """Knows whether someone asked this process to stop, and puts the handlers back when its block ends."""

    def __init__(self) -> None:
        self.asked = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # else signals are another program's business
            self._before = {number: signal.signal(number, self._ask) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, _signal: int, _frame: object) -> None:
        raise NotImplementedError

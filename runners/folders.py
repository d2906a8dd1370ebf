"""The user's folders, as the XDG variables say."""

from __future__ import annotations

import os
from pathlib import Path


def state_folder() -> Path:
    """For what is to be kept between runs: XDG_STATE_HOME, else ~/.local/state."""
    return folder_in("XDG_STATE_HOME") or Path.home() / ".local/state"


def cache_folder() -> Path:
    """For what can be fetched again: XDG_CACHE_HOME, else ~/.cache."""
    return folder_in("XDG_CACHE_HOME") or Path.home() / ".cache"


def folder_in(variable: str) -> Path | None:
    """The folder that an environment variable names, if it does."""
    value = os.environ.get(variable)
    return Path(value) if value else None

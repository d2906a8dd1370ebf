"""What a user can mend."""

from __future__ import annotations


class UnusableError(Exception):
    """An option, an input or an output cannot be used. The message is one sentence that names the remedy."""

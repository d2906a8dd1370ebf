"""What decides, beside the rules and pipelines themselves, what comes out of compiling."""

from __future__ import annotations

from huntbeam.transforms.sigma.plan import HEAD

MAPPING = 1  # version of what sources.py and pipelines.py make of a rule


def versions() -> list[str]:
    """Of the compiled form, of our mapping and of the libraries."""
    from importlib.metadata import version  # takes a while to load

    return [HEAD.hex(), str(MAPPING), version("pysigma"), version("google-re2")]

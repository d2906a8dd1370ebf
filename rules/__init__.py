"""The rules that come with HuntBeam: Sigma rules, anomaly rules with their counters, and samples of all. Data."""

from pathlib import Path

BUILTIN = "builtin:"


def located(path: str) -> str:
    """A path of rules; `builtin:` is the folder of our own, `builtin:windows` what is in it.

    >>> located("mine/rules")
    'mine/rules'
    """
    if not path.startswith(BUILTIN):
        return path
    return str(Path(__file__).parent / path.removeprefix(BUILTIN).lstrip("/"))

"""Which Java runs the stack."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator

from huntbeam.runners.stack.versions import JAVA
from huntbeam.schemas.errors import UnusableError

_VERSION = re.compile(r'version "(\d+)(?:\.(\d+))?')


def find_java() -> str:
    """The path of the first Java that is new enough, in JAVA_HOME, then on PATH. Raises UnusableError."""
    found = None
    for java in _candidates():
        found = major(_said(java))
        if found is not None and found >= JAVA:
            return java
    what = f"Java {found} is too old" if found else "Java is missing"
    raise UnusableError(
        f"{what}: the stack needs Java {JAVA} or newer in JAVA_HOME or on PATH (Debian: openjdk-{JAVA}-jre-headless)"
    )


def major(said: str) -> int | None:
    """The major version in what `java -version` says.

    >>> major('openjdk version "17.0.15" 2025-04-15'), major('java version "1.8.0_292"'), major("no such thing")
    (17, 8, None)
    """
    match = _VERSION.search(said)
    if match is None:
        return None
    return int(match[2] if match[1] == "1" and match[2] else match[1])


def _candidates() -> Iterator[str]:
    home = os.environ.get("JAVA_HOME")
    if home and (java := shutil.which("java", path=os.path.join(home, "bin"))):  # noqa: PTH118 - a search path, not a file
        yield java
    if java := shutil.which("java"):
        yield java


def _said(java: str) -> str:
    try:
        done = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=60)  # noqa: S603 - the user's Java
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stderr + done.stdout

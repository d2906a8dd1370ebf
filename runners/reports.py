"""Writes the page of a folder of results."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from huntbeam.pipelines.report import page_data
from huntbeam.runners.console import size
from huntbeam.runners.pages import page
from huntbeam.schemas.errors import UnusableError
from huntbeam.transforms.views.store import Store


def write_report(folder: Path, output: Path, rules: Sequence[str], quiet: bool = False) -> None:
    """Makes the page and puts it in place at once. Raises UnusableError."""
    check_ready(output)
    if not folder.is_dir():
        raise UnusableError(f"there is no folder {folder}: name the --output of a replay")
    with Store(folder) as store:
        content = page(page_data(store, rules))
    try:
        with tempfile.NamedTemporaryFile(dir=output.parent, prefix=f".{output.name}-", delete=False) as file:
            file.write(content)
        Path(file.name).chmod(0o644)
        Path(file.name).replace(output)
    except OSError as error:
        Path(file.name).unlink(missing_ok=True)
        raise UnusableError(f"{output} cannot be written ({error.strerror}): choose another file") from error
    if not quiet:
        print(f"huntbeam: {output}, {size(len(content))}: open it in a browser", file=sys.stderr)


def check_ready(output: Path) -> None:
    """Raises UnusableError where no page can be made or written; better now than after an hour."""
    for module in ("duckdb", "vl_convert"):
        if find_spec(module) is None:
            raise UnusableError(f"the report needs {module}: install it with `pip install 'huntbeam[report]'`")
    if output.is_dir():
        raise UnusableError(f"{output} is a folder: name a file, such as {output / 'report.html'}")
    if not output.parent.is_dir():
        raise UnusableError(f"there is no folder {output.parent}: make it, or choose another file for the report")

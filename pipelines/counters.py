"""Counters from TOML files: what `--counters` names, and what lies beside anomaly rules."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from huntbeam.schemas.errors import UnusableError
from huntbeam.schemas.record import Kind
from huntbeam.schemas.window import BUILT_IN, Counter
from huntbeam.transforms.windows import countable

Kinds = Callable[[int], Mapping[str, Kind]]  # event id -> the columns that counters may name, and what they hold

LARGEST = 4 << 20  # bytes of a file
BESIDE = "counters.toml"  # in a folder of anomaly rules

COUNTERS_HELP = """\
counters (--counters FILE, TOML):
  [[counter]]
  name = "admin_ports_by_user"          # unique; the built-in ones are network_destination and process_image
  event_id = 3                          # Sysmon event id
  key = ["host", "user_account"]        # columns of docs/fields.md
  distinct = ["dst_ip_addr"]            # optional: distinct values to count
  where = { dst_port = [445, 3389] }    # optional: only rows with one of these values
  sum = []                              # optional: numbers to add up
"""


class _CountersFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    counter: list[Counter]


def counter_files(path: str) -> list[str]:
    """The files of counters in a folder of anomaly rules, sorted; none, where it is no folder."""
    return sorted(str(file) for file in Path(path).rglob(BESIDE)) if Path(path).is_dir() else []


def load_counters(
    paths: Sequence[str], built_in: Sequence[Counter] = BUILT_IN, kinds: Kinds = countable
) -> tuple[Counter, ...]:
    """The counters of TOML files; a file that is named twice is read once.

    Their names are not among those that are built in; `kinds` gives the columns of an event id, and what they hold.
    Raises UnusableError that names the file, the place and the remedy.
    """
    found: dict[str, Counter] = {counter.name: counter for counter in built_in}
    for path in {Path(path).resolve(): path for path in paths}.values():
        for counter in _read(path):
            _check(path, counter, found, kinds)
            found[counter.name] = counter
    return tuple(found.values())[len(built_in) :]


def _read(path: str) -> list[Counter]:
    from huntbeam.transforms.files import content  # what it loads is for those alone who have files

    try:
        document = tomllib.loads(content(path, LARGEST).decode("utf-8"))
    except OSError as error:
        raise UnusableError(f"--counters {path} cannot be read ({error.strerror}): check the path") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UnusableError(f"--counters {path} is no TOML: {error}; the help shows a counter") from error
    try:
        return msgspec.convert(document, _CountersFile).counter
    except msgspec.ValidationError as error:
        raise UnusableError(f"--counters {path}: {error}; the help shows a counter") from error


def _check(path: str, counter: Counter, known: dict[str, Counter], kinds: Kinds) -> None:
    if counter.name in known:
        raise UnusableError(f"--counters {path}: the name {counter.name} is taken; choose another")
    if not counter.name:
        raise UnusableError(f"--counters {path}: a counter has no name; give it one, its rows carry it")
    if not counter.key:
        raise UnusableError(f"--counters {path}: counter {counter.name} has no key columns; name at least one")
    for what, columns in (("key", counter.key), ("distinct", counter.distinct), ("sum", counter.sum)):
        if len(set(columns)) < len(columns):
            raise UnusableError(
                f"--counters {path}: counter {counter.name}: {what} names a column twice; once is enough"
            )
    for event_id in counter.event_ids:
        there = kinds(event_id)
        numbers = [name for name, kind in there.items() if kind is Kind.INTEGER]
        named = (*counter.key, *counter.distinct, *counter.where)
        for what, columns, fit in (("column", named, list(there)), ("number", counter.sum, numbers)):
            for column in columns:
                if column not in fit:
                    raise UnusableError(
                        f"--counters {path}: counter {counter.name}: event {event_id} has no {what} {column}; "
                        f"it has {', '.join(fit) or 'none'}"
                    )

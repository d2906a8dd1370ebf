"""From the files aside to the output folder: refuse early, rename at the end, say so last.

An output folder holds `<stream>/part-00000-of-00003.jsonl` and, once it is complete, `_SUCCESS`. Whatever else is in
it is foreign and is never touched. Runs write to `.huntbeam-<run id>` inside of it: renaming stays on one file system.
Two runs at once into one folder are not supported: the second takes the first one's files for leftovers.
"""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import uuid4

import apache_beam as beam
import msgspec
from apache_beam.io.filesystems import FileSystems

from huntbeam.schemas.errors import UnusableError
from huntbeam.schemas.streams import ALERTS, STREAMS
from huntbeam.transforms.report import ReportPart, WrittenFile, whole_summary
from huntbeam.transforms.row_writers import Format, row_writer
from huntbeam.transforms.write import create

SUCCESS = "_SUCCESS"
_ASIDE = re.compile(r"\.huntbeam-[0-9a-f]{12}")
_STARTED = "started"
_REPLACED = "replaced"
_PUBLISHING = "publishing"
_MADE = b"the output folder was made with this one"
_PART = re.compile(r"part-\d{5}-of-\d{5}\.(jsonl|parquet|avro)")

_log = logging.getLogger(__name__)


class OutputError(UnusableError):
    """The output folder cannot be used."""


def prepare(output: str, overwrite: bool) -> str:
    """Makes the folder aside, `<output>/.huntbeam-<run id>`, and returns it. What a killed run left is removed.

    Raises OutputError when the folder holds results and `overwrite` is false, when it holds foreign files (in that
    case always), or when it cannot be written.
    """
    output = _folder(output)
    made = _is_local(output) and not Path(output).exists()
    try:
        _make_room(output, overwrite)
        aside: str = FileSystems.join(output, f".huntbeam-{uuid4().hex[:12]}")
        with create(FileSystems.join(aside, _STARTED)) as file:  # better now than after an hour
            file.write(_MADE if made else b"")
    except OutputError:
        raise
    except Exception as error:  # each file system fails in its own way
        raise OutputError(f"{output} cannot be used ({_reason(error)}): choose another folder for --output") from error
    return aside


def publish(
    output: str,
    aside: str,
    manifest: ReportPart,
    streams: Mapping[str, type[msgspec.Struct]],
    file_format: Format,
    summary: Mapping[str, Any],
) -> dict[str, int]:
    """Replaces the output folder's content by the manifest's files and returns the rows of each stream, or nothing.

    Each of `streams` gets at least one file. The folder aside goes, `_SUCCESS` is written last; until then a reader
    sees a folder without it. Raises OutputError for foreign files that came meanwhile, ValueError for a file of a
    stream that is not among `streams`, OSError when a file cannot be moved (earlier results are put back then).
    """
    output = _folder(output)
    _check(output, manifest, streams)
    _take_away(output, aside)
    try:
        _put_in_place(output, manifest, streams, file_format)
    except BaseException:
        _put_back(output, aside)
        raise
    rows = _rows(manifest, streams)
    _remove_folder(aside)
    _succeed(output, rows, summary)
    return rows


def publish_again(
    output: str,
    aside: str,
    manifest: ReportPart,
    streams: Mapping[str, type[msgspec.Struct]],
    file_format: Format,
    summary: Mapping[str, Any],
) -> dict[str, int]:
    """As publish(), for a runner that tries again what failed: nothing is put back, the next attempt goes on."""
    output = _folder(output)
    _check(output, manifest, streams)
    there, rows = set(_names(aside)), _rows(manifest, streams)
    if there:
        if _PUBLISHING not in there:
            _take_away(output, aside)
            with create(FileSystems.join(aside, _PUBLISHING)):  # what comes from now on is no earlier result
                pass
        _put_in_place(output, manifest, streams, file_format)
        _succeed(output, rows, summary)
        _remove_folder(aside)
    elif SUCCESS not in set(_names(output)):
        raise OSError(f"{aside} is gone, and {output} is not complete: another run used this folder meanwhile")
    return rows


def _check(output: str, manifest: ReportPart, streams: Mapping[str, type[msgspec.Struct]]) -> None:
    unknown = {file.stream for file in manifest.files} - set(streams)
    if unknown:
        raise ValueError(f"files of unknown streams: {', '.join(sorted(unknown))}")
    _refuse_foreign(output)


def _take_away(output: str, aside: str) -> None:
    """Moves an earlier run's files aside."""
    try:
        _move(output, FileSystems.join(aside, _REPLACED), _ours(output))
    except BaseException:
        _restore(output, aside)
        raise


def _put_in_place(
    output: str, manifest: ReportPart, streams: Mapping[str, type[msgspec.Struct]], file_format: Format
) -> None:
    for stream, record in streams.items():
        files = [file for file in manifest.files if file.stream == stream]
        _publish_stream(FileSystems.join(output, stream), files, record, file_format)


def _rows(manifest: ReportPart, streams: Iterable[str]) -> dict[str, int]:
    return {stream: sum(f.rows for f in manifest.files if f.stream == stream) for stream in streams}


def _succeed(output: str, rows: Mapping[str, int], summary: Mapping[str, Any]) -> None:
    with create(FileSystems.join(output, SUCCESS)) as file:
        file.write(msgspec.json.format(msgspec.json.encode({"rows": rows, "summary": summary})) + b"\n")


@dataclass
class PublishResults(beam.PTransform):
    """The report of all files (ReportPart; one) -> the output folder, where no submitter waits to publish it."""

    output: str
    aside: str
    format: Format
    streams: Sequence[str]
    summary: Mapping[str, Any] = field(default_factory=dict)

    def expand(self, report: beam.PCollection) -> beam.PCollection:
        """PCollection[ReportPart] -> PCollection[dict]: the rows of each stream."""
        return report | "Publish" >> beam.Map(self._publish)

    def _publish(self, report: ReportPart) -> dict[str, int]:
        streams = {name: STREAMS[name] for name in self.streams}
        summary = {**whole_summary(report, alerts=ALERTS in streams), **self.summary}
        return publish_again(self.output, self.aside, report, streams, self.format, summary)


def discard(aside: str) -> None:
    """Removes the folder aside of a failed run, and the output folder where prepare() made it.

    Only logs when it cannot: the failure itself is what matters. Earlier results that could not be put back stay in
    it for the next run, which does that.
    """
    try:
        if _ours(FileSystems.join(aside, _REPLACED)):
            _log.warning("%s holds the earlier results; the next run with --overwrite puts them back", aside)
            return
        started = Path(aside, _STARTED)
        made = _is_local(aside) and started.exists() and started.read_bytes() == _MADE
        _remove_folder(aside)
        if made:
            Path(aside).parent.rmdir()
    except Exception:
        _log.warning("%s could not be removed; the next run into its folder does it", aside, exc_info=True)


def _reason(error: BaseException) -> str:
    """The first line of what is at the bottom of it; Beam wraps errors in errors."""
    details = getattr(error, "exception_details", None)
    while details:
        error = next(iter(details.values()))
        details = getattr(error, "exception_details", None)
    return str(error).partition("\n")[0] or type(error).__name__


def _publish_stream(
    folder: str, files: Iterable[WrittenFile], record: type[msgspec.Struct], file_format: Format
) -> None:
    paths = sorted(file.path for file in files)
    targets = [
        FileSystems.join(folder, f"part-{number:05}-of-{len(paths) or 1:05}{file_format.suffix}")
        for number in range(len(paths) or 1)
    ]
    if not paths:
        with create(targets[0]) as file:
            row_writer(file, record, file_format).close()
        return
    if _is_local(folder):
        Path(folder).mkdir(parents=True, exist_ok=True)  # renaming makes no folders
    left = [(path, target) for path, target in zip(paths, targets, strict=True) if not _moved(path, target)]
    FileSystems.rename([path for path, _ in left], [target for _, target in left])


def _moved(path: str, target: str) -> bool:
    return bool(FileSystems.exists(target)) and not FileSystems.exists(path)


def _folder(output: str) -> str:
    """The folder without its last slash. Raises OutputError where Beam would take the name for a pattern."""
    if not _is_local(output) and re.search(r"[*?\[]", output):
        raise OutputError(f"{output} contains *, ? or [, which name patterns there: choose another --output")
    return output.rstrip("/") or output[:1]


def _make_room(output: str, overwrite: bool) -> None:
    _refuse_foreign(output)
    if not overwrite and any(not _is_leftover(name) for name in _names(output)):
        raise OutputError(f"{output} is not empty: choose another folder, or replace its content with --overwrite")
    _remove_leftovers(output)


def _refuse_foreign(output: str) -> None:
    foreign = list(islice((n for n in _names(output) if not (_is_ours(n) or _is_leftover(n))), 4))
    if foreign:
        names = ", ".join(foreign[:3]) + (", ..." if len(foreign) > 3 else "")
        raise OutputError(f"{output} holds files that are not HuntBeam's ({names}): choose another folder for --output")


def _is_ours(name: str) -> bool:
    stream, _, part = name.rpartition("/")
    return name == SUCCESS or (stream in STREAMS and _PART.fullmatch(part) is not None)


def _is_leftover(name: str) -> bool:
    folder, slash, _ = name.partition("/")
    return bool(slash) and _ASIDE.fullmatch(folder) is not None


def _ours(output: str) -> list[str]:
    """An earlier run's files, `_SUCCESS` first: without it nobody takes what is left for complete."""
    return sorted((name for name in _names(output) if _is_ours(name)), key=lambda name: (name != SUCCESS, name))


def _put_back(output: str, aside: str) -> None:
    """Undoes a publishing that failed: its files go, those it replaced come back."""
    _remove(output, _ours(output))
    _restore(output, aside)


def _restore(output: str, aside: str) -> None:
    """Brings the replaced files back, `_SUCCESS` last."""
    replaced = FileSystems.join(aside, _REPLACED)
    _move(replaced, output, reversed(_ours(replaced)))


def _move(source: str, target: str, names: Iterable[str]) -> None:
    names = list(names)
    if _is_local(target):  # renaming makes no folders
        for name in names:
            Path(target, name).parent.mkdir(parents=True, exist_ok=True)
    FileSystems.rename([FileSystems.join(source, n) for n in names], [FileSystems.join(target, n) for n in names])
    _remove_empty(source, names)


def _remove(output: str, names: Sequence[str]) -> None:
    if _is_local(output):
        for name in names:
            Path(output, name).unlink()
        _remove_empty(output, names)
    else:
        FileSystems.delete([FileSystems.join(output, name) for name in names])


def _remove_empty(output: str, names: Iterable[str]) -> None:
    """Removes the folders that files were taken from; buckets have none."""
    if _is_local(output):
        for folder in {Path(output, name).parent for name in names} - {Path(output)}:
            with suppress(OSError):  # not empty, which cannot be, or a link, which may stay
                folder.rmdir()


def _remove_leftovers(output: str) -> None:
    folders = {name.partition("/")[0] for name in _names(output) if _is_leftover(name)}
    for folder in sorted(folders):
        aside = FileSystems.join(output, folder)
        if _ours(FileSystems.join(aside, _REPLACED)):  # killed while it published
            _put_back(output, aside)
        _remove_folder(aside)


def _remove_folder(folder: str) -> None:
    """Removes a folder with all it holds. Raises OSError when something stays."""
    if _is_local(folder):
        if Path(folder).exists():
            shutil.rmtree(folder)
        return
    FileSystems.delete([folder + "/"])  # the slash: by prefix, in batches; failures are only logged there
    if any(_names(folder)):
        raise OSError(f"{folder} could not be removed")


def _names(folder: str) -> Iterator[str]:
    """The files below a folder as paths relative to it; nothing when there is no such folder."""
    if _is_local(folder):  # Beam cannot list or delete names with [ in them, and follows no links
        root = Path(folder)
        found = (path for path in root.rglob("*") if path.is_symlink() or not path.is_dir())
        yield from (path.relative_to(root).as_posix() for path in found)
        return
    for match in FileSystems.match([f"{folder}/**"]):
        for file in match.metadata_list:
            name = file.path.removeprefix(f"{folder}/")
            if name and not name.endswith("/"):  # the console's marks for empty folders
                yield name


def _is_local(path: str) -> bool:
    return FileSystems.get_scheme(path) is None

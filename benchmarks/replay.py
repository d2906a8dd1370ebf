"""Measures `huntbeam replay` against the same work in DuckDB: whole processes, cold start included, by turns.

    python benchmarks/replay.py                    # 600,000 events, 5 timed runs of each
    python benchmarks/replay.py --input my.ndjson  # a Winlogbeat 6 archive of your own, plain or .gz
    python benchmarks/replay.py --memory           # peak memory over 100 MB, 500 MB and 2 GB

The archive is made once and kept in .bench/: from recorded telemetry where the project's data lies beside the
checkout, else by synthesize.py. Both write their rows, which must be equal. Each first run warms the page cache; it is
watched for memory and not timed, as watching takes time. Memory is the peak of the PSS summed over the process and
all of its children (a page of several counts once; anonymous ones alone in brackets), read every 20 ms; beside it
stands the kernel's ru_maxrss of the largest single process.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
CACHE = ROOT / ".bench"
AMPLIFIER = ROOT / "../shared/tools/amplify.py"
RECORDED = ROOT / "../shared/data/wlb6"
STREAMS = (
    "sysmon_process_create",
    "sysmon_network_connect",
    "sysmon_join",
    "sysmon_unmatched",
    "window_counts",
)
OURS = {"event_uid", "clock_skew_ms", "event_time_source", "generation", "late_count", "distinct_capped"}
MB = 1_000_000
INTERVAL = 0.02  # seconds between two looks at the memory


class BenchError(Exception):
    """The bench cannot go on; the message says why."""


class Run(NamedTuple):
    """What one process and its children took."""

    wall: float
    cpu: float
    max_rss: float  # MB, of the largest single process
    peak: float  # MB, summed over all; 0 when nobody watched
    anonymous: float


class Contender(NamedTuple):
    """A program, and the command that replays an archive into a folder."""

    name: str
    command: Callable[[Path, Path], list[str]]


# --------------------------------------------------------------------------------------------------------- measuring


class Watcher:
    """Reads the memory of a process and its children until it ends."""

    def __init__(self, pid: int) -> None:
        self.peak = self.anonymous = 0.0
        self._pid = pid
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        psutil: Any = importlib.import_module("psutil")
        with suppress(psutil.NoSuchProcess):
            root = psutil.Process(self._pid)
            while not self._stop.is_set():
                sizes = [_memory(p) for p in (root, *root.children(recursive=True))]
                self.peak = max(self.peak, sum(size for size, _ in sizes))
                self.anonymous = max(self.anonymous, sum(anonymous for _, anonymous in sizes))
                self._stop.wait(INTERVAL)


def _memory(process: Any) -> tuple[float, float]:
    """PSS and its anonymous part in MB; where there is no /proc, the resident set twice."""
    try:
        text = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
    except OSError:
        with suppress(Exception):  # it ended, or is another's
            resident = process.memory_info().rss / MB
            return resident, resident
        return 0.0, 0.0
    sizes = {name: int(rest.split()[0]) / 1000 for name, _, rest in (x.partition(":") for x in text.splitlines()[1:])}
    return sizes["Pss"], sizes.get("Pss_Anon", 0.0)


def run(command: Sequence[str], *, watch: bool = False) -> Run:
    """Runs a command to its end. Raises BenchError when it fails."""
    with tempfile.TemporaryFile() as errors:
        began = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors)
        if watch and importlib.util.find_spec("psutil"):
            with Watcher(process.pid) as watcher:
                _, status, usage = os.wait4(process.pid, 0)
            peak, anonymous = watcher.peak, watcher.anonymous
        else:
            _, status, usage = os.wait4(process.pid, 0)
            peak = anonymous = 0.0
        wall = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            errors.seek(0)
            tail = errors.read()[-2_000:].decode(errors="replace")
            raise BenchError(f"{' '.join(map(str, command))}: exit code {process.returncode}\n{tail}")
    kilobytes = 1024 if sys.platform != "darwin" else 1
    return Run(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * kilobytes / MB, peak, anonymous)


# ---------------------------------------------------------------------------------------------------------- archives


def archive_of(events: int) -> Path:
    """The archive to measure on, made when it is not there yet."""
    CACHE.mkdir(exist_ok=True)
    if AMPLIFIER.exists() and RECORDED.is_dir() and importlib.util.find_spec("orjson"):
        path = CACHE / f"recorded-{events}.ndjson"
        inputs = sorted(map(str, RECORDED.glob("*.gz")))
        command = [sys.executable, str(AMPLIFIER), "{out}", *inputs, "--events", str(events), "--ooo", "0.05"]
    else:
        path = CACHE / f"synthetic-{events}.ndjson"
        command = _synthesize(events, "--drift-hosts", "5")
    return _made(path, command)


def _synthesize(events: int, *options: str) -> list[str]:
    return [sys.executable, str(HERE / "synthesize.py"), "{out}", "--events", str(events), "--shape", "wlb6", *options]


def _made(path: Path, command: list[str]) -> Path:
    if not path.exists():
        say(f"making {path.relative_to(ROOT)} ...")
        part = path.with_name("part.ndjson")
        run([part.as_posix() if argument == "{out}" else argument for argument in command])
        for beside in (".answer.json", ".ndjson.meta.json"):
            with suppress(FileNotFoundError):
                part.with_name("part" + beside).replace(path.with_name(path.stem + beside))
        part.replace(path)
    return path


def cut(archive: Path, size: int) -> Path:
    """The first `size` bytes of an archive, to the end of a line."""
    path = CACHE / f"{archive.stem}-{size // MB}MB.ndjson"
    if not path.exists():
        part = path.with_name("part.ndjson")
        with archive.open("rb") as source, part.open("wb") as out:
            left = size
            while left > 0 and (block := source.read(min(left, 8 * MB))):
                left -= len(block)
                out.write(block if left > 0 else block[: block.rindex(b"\n") + 1])
        part.replace(path)
    return path


# -------------------------------------------------------------------------------------------------------------- rows


def rows(folder: Path, stream: str) -> Counter[bytes]:
    """The rows of a stream as a multiset, without the columns that only HuntBeam has."""
    encode = msgspec.json.Encoder(order="sorted").encode
    decode = msgspec.json.decode
    counted: Counter[bytes] = Counter()
    for line in _lines(folder, stream):
        counted[encode({k: v for k, v in decode(line).items() if v is not None and k not in OURS})] += 1
    return counted


def _lines(folder: Path, stream: str) -> Iterator[bytes]:
    files = [folder / f"{stream}.jsonl"]
    if (folder / stream).is_dir():
        files = [p for p in sorted((folder / stream).rglob("*")) if p.is_file() and p.name[0] not in "._"]
    for path in files:
        with path.open("rb") as lines:
            yield from (line for line in lines if line.strip())


def check_equal(ours: Path, theirs: Path) -> dict[str, int]:
    """How many rows each stream has. Raises BenchError when the two differ."""
    sizes = {}
    for stream in STREAMS:
        a, b = rows(ours, stream), rows(theirs, stream)
        if a != b:
            example = next(iter((a - b) or (b - a)))[:600].decode()
            raise BenchError(
                f"{stream}: {(a - b).total()} rows only in HuntBeam's {a.total()}, {(b - a).total()} only in DuckDB's "
                f"{b.total()}; one of them:\n{example}"
            )
        sizes[stream] = a.total()
    return sizes


# ------------------------------------------------------------------------------------------------------------- bench


def huntbeam() -> Contender:
    program = Path(sys.executable).parent / "huntbeam"
    if not program.exists():
        raise BenchError(f"{program} is not there; run `make setup`, or this script with .venv/bin/python")
    return Contender(
        "HuntBeam",
        lambda archive, out: [
            *(str(program), "replay", "--input", str(archive), "--output", str(out), "--quiet", "--overwrite")
        ],
    )


def rival(cores: int) -> Contender:
    if not importlib.util.find_spec("duckdb"):
        raise BenchError("duckdb is not installed; `pip install duckdb psutil` beside huntbeam")
    import duckdb

    return Contender(
        f"DuckDB {duckdb.__version__}",
        lambda archive, out: [
            *(sys.executable, str(HERE / "rival_duckdb.py"), str(archive), str(out), "--threads", str(cores))
        ],
    )


def compare(archive: Path, runs: int, cores: int) -> str:
    """The table of the comparison."""
    contenders = (huntbeam(), rival(cores))
    CACHE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=CACHE) as scratch:
        outs = [Path(scratch, str(n)) for n in range(2)]
        watched = []
        for contender, out in zip(contenders, outs, strict=True):
            say(f"{contender.name}: warm-up, watching memory")
            watched.append(run(contender.command(archive, out), watch=True))
        sizes = check_equal(*outs)
        say("rows are equal: " + ", ".join(f"{stream} {n:,}" for stream, n in sizes.items()))
        timed: tuple[list[Run], list[Run]] = ([], [])
        for n in range(runs):
            for contender, out, results in zip(contenders, outs, timed, strict=True):
                results.append(run(contender.command(archive, out)))
                say(f"{n + 1}/{runs} {contender.name}: {results[-1].wall:.2f} s wall, {results[-1].cpu:.2f} s CPU")
    return table(archive, contenders, watched, timed, sizes, cores)


def table(
    archive: Path,
    contenders: Sequence[Contender],
    watched: Sequence[Run],
    timed: Sequence[Sequence[Run]],
    sizes: dict[str, int],
    cores: int,
) -> str:
    megabytes = archive.stat().st_size / MB
    ours, theirs = contenders
    lines = [
        f"`{archive.name}`, {megabytes:,.0f} MB, {cores} cores, {len(timed[0])} runs of each by turns; equal rows: "
        + ", ".join(f"{stream} {n:,}" for stream, n in sizes.items()),
        "",
        f"| | {ours.name} | {theirs.name} | ratio |",
        "|---|---|---|---|",
        _spread("wall, s: min / median / max", timed, lambda r: r.wall),
        _spread("CPU (user + system), s: min / median / max", timed, lambda r: r.cpu),
    ]
    if watched[0].peak and watched[1].peak:
        cells = [f"{r.peak:,.0f} ({r.anonymous:,.0f})" for r in watched]
        lines.append(
            f"| peak PSS of all processes, MB | {' | '.join(cells)} | {watched[0].peak / watched[1].peak:.2f} |"
        )
    a, b = (statistics.median(r.max_rss for r in runs) for runs in timed)
    lines.append(f"| ru_maxrss of the largest process, MB | {a:,.0f} | {b:,.0f} | {a / b:.2f} |")
    a, b = (megabytes / statistics.median(r.wall for r in runs) for runs in timed)
    lines.append(f"| MB/s, by the median | {a:,.0f} | {b:,.0f} | {a / b:.2f} |")
    return "\n".join([*lines, "", "Ratios of times are medians of the pairwise ratios."])


def _spread(title: str, timed: Sequence[Sequence[Run]], of: Callable[[Run], float]) -> str:
    cells = []
    for runs in timed:
        values = [of(r) for r in runs]
        cells.append(f"{min(values):.2f} / {statistics.median(values):.2f} / {max(values):.2f}")
    ratio = statistics.median(of(a) / of(b) for a, b in zip(*timed, strict=True))
    return f"| {title} | {' | '.join(cells)} | {ratio:.2f} |"


def memory(archive: Path | None, sizes: Sequence[int], survivors: int) -> str:
    """Peak memory over archives of growing size: once with survivors that grow along, once with a constant number."""
    CACHE.mkdir(exist_ok=True)
    contender = huntbeam()
    lines = [
        "| archive, MB | Sysmon 1 and 3 | peak PSS of all (anonymous), MB | ru_maxrss of the largest, MB | s |",
        "|---|---|---|---|---|",
    ]
    longest = max(sizes) * MB
    if archive is None or archive.stat().st_size < longest:
        events = int(longest / 1_900)
        archive = _made(CACHE / f"synthetic-{events}.ndjson", _synthesize(events, "--drift-hosts", "5"))
    growing = [cut(archive, size * MB) for size in sizes]
    constant = []
    for size in sizes:
        events = int(size * MB / 1_930)
        command = _synthesize(events, "--share", str(survivors / events))
        constant.append(_made(CACHE / f"few-{survivors}-{size}MB.ndjson", command))
    for path in (*growing, *constant):
        with tempfile.TemporaryDirectory(prefix="bench-", dir=CACHE) as scratch:
            out = Path(scratch, "out")
            result = run(contender.command(path, out), watch=True)
            kept = sum(1 for stream in STREAMS[:2] for _ in _lines(out, stream))
        lines.append(
            f"| {path.stat().st_size / MB:,.0f} | {kept:,} | {result.peak:,.0f} ({result.anonymous:,.0f}) "
            f"| {result.max_rss:,.0f} | {result.wall:.1f} |"
        )
        say(lines[-1])
    return "\n".join(lines)


def say(text: str) -> None:
    sys.stderr.write(text + "\n")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Measures huntbeam replay against the same work in DuckDB.")
    parser.add_argument("--events", type=int, default=600_000, help="size of the archive that is made")
    parser.add_argument("--input", type=Path, help="a Winlogbeat 6 archive that is there already")
    parser.add_argument("--runs", type=int, default=5, help="timed runs of each, after one that is not")
    parser.add_argument("--cores", type=int, help="cores that both may use (default: all)")
    parser.add_argument("--memory", action="store_true", help="peak memory of huntbeam replay over growing archives")
    parser.add_argument("--sizes", default="100,500,2000", help="MB of the archives of --memory")
    parser.add_argument("--survivors", type=int, default=5_000, help="Sysmon 1, 3 and 5 of --memory's second half")
    parser.add_argument("--keep", action="store_true", help="with --memory: keep the archives that were made for it")
    args = parser.parse_args(argv)
    try:
        if args.memory:
            before = set(CACHE.glob("*"))
            report = memory(args.input, [int(size) for size in args.sizes.split(",")], args.survivors)
            for path in set() if args.keep else set(CACHE.glob("*")) - before:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        else:
            available = sorted(os.sched_getaffinity(0))
            cores = min(args.cores or len(available), len(available))
            os.sched_setaffinity(0, available[:cores])  # the processes that are started inherit it
            report = compare(args.input or archive_of(args.events), args.runs, cores)
    except BenchError as error:
        say(f"bench: {error}")
        return 1
    sys.stdout.write(report + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

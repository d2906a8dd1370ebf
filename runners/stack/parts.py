"""The jars of the stack: fetched once through pip and Maven into the cache, and the class paths they make."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from huntbeam.runners.stack.versions import (
    BEAM,
    BEAM_ARTIFACTS,
    FLINK,
    FLINK_LIBRARIES,
    FLINK_SERIES,
    KAFKA,
    KAFKA_ARTIFACTS,
    SEARCH_ARTIFACTS,
    Artifact,
)
from huntbeam.schemas.errors import UnusableError
from huntbeam.transforms.locks import locked

Say = Callable[[str], None]

# Beam's job server sends every jar of its class path along with each job, but those whose path has `gradle/wrapper` in
# it (PipelineResources.isStageable). Flink has them all on its own class path, so none needs to be sent.
_JARS = Path("gradle", "wrapper")
_FLINK_BRINGS = ("flink-", "slf4j-", "log4j-")  # left out where Flink's own stand first on the class path
_FLINK_FOLDERS = ("lib", "plugins")


class Parts(NamedTuple):
    """The folders of jars. With a job server jar of the user there is no folder of Beam."""

    kafka: Path
    flink: Path
    beam: Path

    def kafka_class_path(self) -> str:
        """The broker and its tools."""
        return class_path(self.kafka)

    def beam_class_path(self) -> str:
        """The job server and the expansion service."""
        return str(self.beam) if self.beam.is_file() else class_path(self.beam)

    def flink_class_path(self) -> str:
        """The job and the task manager: Flink's jars, then Beam's without what Flink brings."""
        beam = [self.beam] if self.beam.is_file() else sorted((self.beam / _JARS).glob("*.jar"))
        ours = [str(jar) for jar in beam if not jar.name.startswith(_FLINK_BRINGS)]
        return ":".join([f"{self.flink}/lib/*", *ours])

    def small_jar(self) -> Path:
        """A jar that costs nothing to send: the expansion service wants to name at least one."""
        return min(self.kafka.rglob("*.jar"), key=lambda jar: jar.stat().st_size)


def search_jars(cache: Path, name: str) -> Path:
    """Where the jars of a search server are, fetched or not."""
    artifact = SEARCH_ARTIFACTS[name]
    return cache / _name(f"{name}-{artifact.version}", pom((artifact,)))


def fetch_search(cache: Path, name: str, say: Say) -> Path:
    """The same, fetched if the cache lacks them."""
    folder = search_jars(cache, name)
    if not folder.exists():
        with locked(cache, ".lock", say):
            if not folder.exists():
                say(f"fetching {folder.name} through Maven")
                _aside(folder, partial(_maven, (SEARCH_ARTIFACTS[name],)))
    return folder


def class_path(folder: Path) -> str:
    """All jars that Maven fetched into a folder."""
    return f"{folder / _JARS}/*"


def parts(cache: Path, job_server_jar: Path | None) -> Parts:
    """Where the parts are, fetched or not."""
    if job_server_jar is not None and not job_server_jar.is_file():
        raise UnusableError(f"{job_server_jar} is no file; give the jar of Beam's Flink job server")
    return Parts(
        kafka=cache / _name(f"kafka-{KAFKA}", pom(KAFKA_ARTIFACTS)),
        flink=cache / f"flink-{FLINK}",
        beam=job_server_jar or cache / _name(f"beam-{BEAM}-flink-{FLINK_SERIES}", pom(BEAM_ARTIFACTS)),
    )


def fetch(cache: Path, job_server_jar: Path | None, say: Say) -> Parts:
    """Fetches what the cache lacks, a line each; with everything there the network is not touched."""
    found = parts(cache, job_server_jar)
    if all(part.exists() for part in found):
        return found
    with locked(cache, ".lock", say):
        for folder, artifacts in ((found.kafka, KAFKA_ARTIFACTS), (found.beam, BEAM_ARTIFACTS)):
            if not folder.exists():
                say(f"fetching {folder.name} through Maven")
                _aside(folder, partial(_maven, artifacts))
        if not found.flink.exists():
            say(f"fetching {found.flink.name} through pip")
            _aside(found.flink, _pip)
    return found


def pom(artifacts: Sequence[Artifact]) -> str:
    """A Maven project that depends on the artifacts and builds nothing."""
    dependencies = "".join(
        f"<dependency>{_coordinates(artifact.group, artifact.name)}<version>{artifact.version}</version>"
        f"{_exclusions(artifact.without)}</dependency>\n"
        for artifact in artifacts
    )
    return (
        '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>\n'
        "<groupId>huntbeam</groupId><artifactId>stack</artifactId><version>1</version><packaging>pom</packaging>\n"
        f"<dependencies>\n{dependencies}</dependencies></project>\n"
    )


def _coordinates(group: str, name: str) -> str:
    return f"<groupId>{group}</groupId><artifactId>{name}</artifactId>"


def _exclusions(groups: Sequence[str]) -> str:
    each = "".join(f"<exclusion>{_coordinates(group, '*')}</exclusion>" for group in groups)
    return f"<exclusions>{each}</exclusions>" if each else ""


def _name(name: str, text: str) -> str:
    return f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _aside(folder: Path, fill: Callable[[Path], None]) -> None:
    """Fills a folder beside and renames it, so that a folder that is there is whole."""
    aside = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    fill(aside)
    aside.rename(folder)


def _maven(artifacts: Sequence[Artifact], aside: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise UnusableError(
            "Maven is missing: the stack's jars are fetched with it the first time; install it (Debian: maven), or "
            "give a cache that holds them with --cache"
        )
    project = aside / "pom.xml"
    project.write_text(pom(artifacts), encoding="utf-8")
    goal = ["dependency:copy-dependencies", f"-DoutputDirectory={aside / _JARS}"]
    _run([maven, "-q", "-B", "-f", str(project), *goal], aside, "Maven")


def _pip(aside: Path) -> None:
    """Takes Flink's jars out of the sdist; pip installs nothing into this environment."""
    download = ["download", "--no-deps", "--no-binary", ":all:", "--disable-pip-version-check", "-q"]
    _run([sys.executable, "-m", "pip", *download, "-d", str(aside), FLINK_LIBRARIES], aside, "pip")
    (sdist,) = aside.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        for member in archive:
            _, *inside = Path(member.name).parts
            if member.isfile() and inside[:1] == ["deps"] and inside[1:2] and inside[1] in _FLINK_FOLDERS:
                member.name = str(Path(*inside[1:]))
                archive.extract(member, aside, filter="data")
    sdist.unlink()


def _run(command: Sequence[str], aside: Path, who: str) -> None:
    log = aside.with_name(f"{aside.stem}.fetch.log")
    with log.open("wb") as file:
        done = subprocess.run(command, stdout=file, stderr=file, stdin=subprocess.DEVNULL, env=_environment())  # noqa: S603 - pip and Maven, from our own list
    if done.returncode:
        lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines()]
        error = next((line for line in lines if "ERROR" in line), "it says nothing")
        raise UnusableError(f"{who} could not fetch {aside.stem}: {error[:200]} (all of it: {log})")
    log.unlink()


def _environment() -> dict[str, str]:
    return os.environ | {"PIP_NO_INPUT": "1"}  # a question would wait for ever

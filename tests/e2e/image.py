"""The image, built from the checkout on a Debian that debootstrap fetches: no registry of images is needed."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from huntbeam.runners.stack.stack import default_cache
from huntbeam.runners.worker_pool import end
from tests.conftest import ROOT

DEBIAN = "docker.io/library/debian:bookworm-slim"  # as the Dockerfile's BASE
BEAM_SDK = "docker.io/apache/beam_python3.11_sdk:2.77.0"  # as its BEAM_SDK
BOOT = "github.com/apache/beam/sdks/v2/python/container@v2.77.0"  # the one file that is taken from there
_MIRROR = "http://deb.debian.org/debian"
_AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
ENTRYPOINT = "/opt/huntbeam/entrypoint.sh"


@dataclass(frozen=True)
class Image:
    """A built image, and where buildah keeps it."""

    store: Path
    name: str

    @contextmanager
    def container(self) -> Iterator[Container]:
        """A container of its own, gone afterwards."""
        made = _buildah(self.store, "from", "--pull-never", self.name).strip()
        try:
            yield Container(self.store, made)
        finally:
            _buildah(self.store, "rm", made)

    def inspect(self, template: str) -> str:
        """What a Go template shows of the image's settings."""
        return _buildah(self.store, "inspect", "--type", "image", "--format", template, self.name).strip()


@dataclass(frozen=True)
class Container:
    """Runs commands in the image, on this machine's network."""

    store: Path
    name: str

    def command(self, *argv: str, volumes: Mapping[Path, str] | None = None) -> list[str]:
        """The command line that runs one."""
        mounted = [f"--volume={here}:{there}" for here, there in (volumes or {}).items()]
        return [*_command(self.store), "run", *mounted, self.name, "--", *argv]

    def run(self, *argv: str, volumes: Mapping[Path, str] | None = None) -> str:
        """Runs a command to its end; gives its standard output."""
        return _run(self.command(*argv, volumes=volumes))

    @contextmanager
    def running(self, *argv: str) -> Iterator[subprocess.Popen[bytes]]:
        """Runs a command meanwhile."""
        process = subprocess.Popen(self.command(*argv), stdin=subprocess.DEVNULL, env=_environment())
        try:
            yield process
        finally:
            end(process)


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    """The image of this checkout."""
    need_image_tools()
    store = tmp_path_factory.mktemp("image")
    try:
        debian, boot = _debian(), _boot()
        _tag(store, debian, DEBIAN, "--env", f"PIP_CERT={_AUTHORITIES}")
        _tag(store, boot, BEAM_SDK)
        with Image(store, DEBIAN).container() as container:
            container.run("true")
    except AssertionError as error:  # no network, or a machine that lets nobody run containers
        pytest.skip(f"no image is built: what it is made of cannot be had or run here: {str(error)[-400:]}")
    _buildah(store, "bud", "--pull-never", "--tag", "huntbeam:test", str(ROOT))
    yield Image(store, "localhost/huntbeam:test")
    _buildah(store, "rmi", "--all", "--force")
    shutil.rmtree(store)


def need_image_tools() -> None:
    """Skips where an image cannot be built."""
    missing = [tool for tool in ("buildah", "debootstrap", "go") if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"no image is built: {', '.join(missing)} missing (apt-get install buildah debootstrap; Go 1.24)")
    if os.geteuid() != 0:
        pytest.skip("no image is built: debootstrap needs root")


def _debian() -> Path:
    """A Debian as the Dockerfile's base is one, kept in the cache."""
    root = default_cache() / "image" / "debian-bookworm"
    if not root.exists():
        aside = root.with_suffix(".part")
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        _run(["debootstrap", "--variant=minbase", "--include=ca-certificates", "bookworm", str(aside), _MIRROR])
        aside.rename(root)
    shutil.copy(_AUTHORITIES, root / _AUTHORITIES.relative_to("/"))  # whom this machine trusts
    return root


def _boot() -> Path:
    """What Beam's own image has at this place, made from Beam's source."""
    root = default_cache() / "image" / "beam-2.77.0"
    boot = root / "opt/apache/beam/boot"
    if not boot.exists():
        boot.parent.mkdir(parents=True, exist_ok=True)
        _run(["go", "install", BOOT], {"GOBIN": str(boot.parent), "CGO_ENABLED": "0"})
        (boot.parent / "container").rename(boot)
    return root


def _tag(store: Path, root: Path, name: str, *config: str) -> None:
    made = _buildah(store, "from", "scratch").strip()
    _buildah(store, "add", made, str(root), "/")
    _buildah(store, "config", *config, "--cmd", "/bin/sh", made)
    _buildah(store, "commit", "--rm", made, name)


def _buildah(store: Path, *argv: str) -> str:
    return _run([*_command(store), *argv])


def _command(store: Path) -> list[str]:
    return ["buildah", "--root", str(store / "root"), "--runroot", str(store / "run")]


def _environment() -> dict[str, str]:
    return os.environ | {"BUILDAH_ISOLATION": "chroot", "STORAGE_DRIVER": "vfs"}


def _run(command: list[str], environment: Mapping[str, str] | None = None) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, env=_environment() | (environment or {}), timeout=900, check=False
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout

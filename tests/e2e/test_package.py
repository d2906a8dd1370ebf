"""The package as it is published: a wheel built of the source distribution, installed where no checkout is."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import urllib.request
import zipfile
from pathlib import Path

import pytest

from huntbeam.runners.worker_pool import end
from tests.conftest import ROOT, read_rows, run_replay
from tests.e2e.jobs import eventually
from tests.monster import generator
from tests.ports import free_port

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

FOLDERS = ("pipelines", "transforms", "schemas", "runners", "rules")
ONLY_IN_SOURCES = {"runners/image/entrypoint.sh", "runners/image/flex.Dockerfile"}  # an image is built of a checkout


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution, of a copy: what an earlier build left in a checkout would be in it."""
    here = tmp_path_factory.mktemp("sources")
    leave = shutil.ignore_patterns(".*", "build", "dist", "out", "*.egg-info", "__pycache__")
    shutil.copytree(ROOT, here / "checkout", ignore=leave)
    build = f"from setuptools.build_meta import build_sdist; build_sdist({str(here)!r})"
    subprocess.run([sys.executable, "-c", build], cwd=here / "checkout", check=True, capture_output=True, timeout=120)
    (made,) = here.glob("huntbeam-*.tar.gz")
    return made


@pytest.fixture(scope="module")
def wheel(sources: Path) -> Path:
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    subprocess.run([*pip, "-w", str(sources.parent), str(sources)], check=True, capture_output=True, timeout=180)
    (made,) = sources.parent.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of a fresh environment; what HuntBeam depends on is lent by the one of the tests."""
    home = tmp_path_factory.mktemp("installed") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(home)], check=True, timeout=120)
    (libraries,) = home.glob("lib/python*/site-packages")
    (libraries / "lent.pth").write_text(sysconfig.get_path("purelib"))
    pip = [sys.executable, "-m", "pip", "--python", str(home / "bin" / "python"), "install", "--quiet", "--no-deps"]
    again = ["--no-index", "--ignore-installed", str(wheel)]
    subprocess.run([*pip, *again], check=True, capture_output=True, timeout=120)
    return home / "bin"


def test_the_wheel_holds_what_the_folders_hold(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name.removeprefix("huntbeam/") for name in archive.namelist() if name.startswith("huntbeam/")}
    there = {str(path.relative_to(ROOT)) for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.is_file()}
    assert names == {name for name in there if "__pycache__" not in name} - ONLY_IN_SOURCES


def test_an_image_can_be_built_of_the_source_distribution(sources: Path) -> None:
    with tarfile.open(sources) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"Dockerfile", "setup.py", "pyproject.toml", "README.md", "LICENSE", *ONLY_IN_SOURCES} <= names


def test_it_runs_where_no_checkout_is(installed: Path, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "samples" / "logs", tmp_path / "logs")
    place = run(installed, tmp_path, "python", "-c", "import huntbeam.runners; print(huntbeam.runners.__file__)")
    assert place.startswith(str(installed.parent))
    assert huntbeam(installed, tmp_path, "--version").startswith("huntbeam ")
    rules = ("--rules", "builtin:", "--anomaly_rules", "builtin:")
    huntbeam(installed, tmp_path, "replay", "--input", "logs", "--output", "out", "--quiet", *rules)
    expected = run_replay(tmp_path / "checkout", tmp_path / "logs", options=rules)
    assert {name: len(read_rows(tmp_path / "out", name)) for name in expected} == {
        name: len(rows) for name, rows in expected.items()
    }
    assert ": 0 failed; 0 rules cannot run" in huntbeam(installed, tmp_path, "rules", "test", "builtin:")
    huntbeam(installed, tmp_path, "report", "out", "-o", "page.html")
    assert "<html" in (tmp_path / "page.html").read_text()[:1_000]
    for command in (("collect",), ("index", "setup"), ("stream",), ("serve",)):
        assert huntbeam(installed, tmp_path, *command, "--help").startswith(f"usage: huntbeam {' '.join(command)} ")


def test_records_of_monster_agent_become_documents(installed: Path, tmp_path: Path) -> None:
    made = list(generator.records(52))
    (tmp_path / "day.tsv").write_bytes(b"\n".join(record.line for record in made))
    detect = ("--detect", "exfiltration,signers")
    huntbeam(installed, tmp_path, "monster", "--input", "day.tsv", "--output", "out", "--quiet", *detect)
    assert len(read_rows(tmp_path / "out", "monster_events")) == len(made)


def test_the_page_is_served(installed: Path, tmp_path: Path) -> None:
    run_replay(tmp_path / "out", ROOT / "samples" / "logs")
    port = free_port()
    command = [str(installed / "huntbeam"), "serve", "out", "--port", str(port)]
    server = subprocess.Popen(command, cwd=tmp_path, env=environment(), stderr=subprocess.DEVNULL)
    try:
        eventually(lambda: "<html" in page(port)[:1_000], patience=60)
    finally:
        end(server)


def page(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=20) as answer:
        text: str = answer.read().decode()
        return text


def huntbeam(installed: Path, folder: Path, *argv: str) -> str:
    return run(installed, folder, "huntbeam", *argv)


def run(installed: Path, folder: Path, program: str, *argv: str) -> str:
    done = subprocess.run(
        [str(installed / program), *argv], cwd=folder, env=environment(), capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}

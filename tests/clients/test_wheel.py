"""The client as its user installs it: a wheel is built, goes into an empty environment, and speaks to a real broker."""

import json
import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from tests.clients.conftest import Buyer

ROOT = Path(__file__).parents[2]
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
PIP = ["-m", "pip", "--disable-pip-version-check"]


def run(*command: str | Path, folder: Path, **environment: str) -> str:
    """Run a program away from the repository; returns what it says."""
    told = {"PATH": os.environ["PATH"], "HOME": str(folder), **environment}
    told |= {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_", "HTTPS_"))}
    done = subprocess.run(command, env=told, capture_output=True, text=True, timeout=600, check=False, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel of `deploy/client`, by what its user has: pip, which fetches what builds it."""
    folder = tmp_path_factory.mktemp("wheel")
    built = [*PIP, "wheel", "-q", "--no-deps", "-w", str(folder), str(ROOT / "deploy" / "client")]
    done = subprocess.run([sys.executable, *built], capture_output=True, text=True, timeout=600, check=False)
    if "No matching distribution found for hatchling" in done.stderr:
        pytest.skip("no package index is reached from here, and hatchling is not installed")
    assert done.returncode == 0, done.stderr
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel into an environment that was empty."""
    folder = tmp_path_factory.mktemp("installed")
    run(sys.executable, "-m", "venv", folder / "venv", folder=folder)
    python = folder / "venv" / "bin" / "python"
    run(python, *PIP, "install", "-q", "-c", ROOT / "constraints.txt", wheel, folder=folder)
    return python


def test_the_wheel_has_what_it_says_and_no_more(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as opened:
        names = opened.namelist()
    tops = {name.partition("/")[0] for name in names}
    assert tops == {"broker", "pricing", f"lora_broker_client-{VERSION}.dist-info"}
    assert [name for name in names if "__pycache__" in name or "/local/" in name] == []
    assert {"broker/cli/locales/zh.json", "broker/cli/locales/examples.txt", "broker/py.typed"} <= set(names)


def test_the_client_is_imported_and_the_command_tells_its_release(python: Path, tmp_path: Path) -> None:
    command = python.with_name("broker")
    assert run(command, "--version", folder=tmp_path) == f"broker {VERSION}\n"
    script = "import broker, broker.client; print(broker.__version__, broker.client.AsyncBrokerClient.__name__)"
    assert run(python, "-c", script, folder=tmp_path) == f"{VERSION} AsyncBrokerClient\n"
    assert "跟踪作业" in run(command, "jobs", "watch", "--help", "--lang", "zh", folder=tmp_path)
    assert "admin-key" not in run(command, "--help", folder=tmp_path, COLUMNS="80")


def test_the_command_speaks_to_a_broker(python: Path, buyer: Buyer, tmp_path: Path) -> None:
    told = {"BROKER_URL": buyer.broker.url, "BROKER_API_KEY": buyer.key}
    answer = json.loads(run(python.with_name("broker"), "whoami", "--json", folder=tmp_path, **told))
    assert answer["customer"]["id"] == buyer.id

"""The client is installed alone: of the files that its package has, each imports without anything of the service."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PACKAGE = ROOT / "deploy" / "client" / "pyproject.toml"
# What the service needs and the client must not: hidden, as if it were not installed.
HIDDEN = {
    *("alembic", "apprise", "authlib", "babel", "cachetools", "cryptography", "fastapi", "jinja2", "joserfc"),
    *("limits", "mcp", "numpy", "obstore", "PIL", "prometheus_client", "psutil", "psycopg", "pyarrow", "sqlalchemy"),
    *("starlette", "stripe", "structlog", "tenacity", "tensorboard", "tokenizers", "torch", "typst", "uvicorn"),
}
SCRIPT = """
import sys
from importlib import import_module
from pathlib import Path

root, hidden = Path(sys.argv[1]), set(sys.argv[2].split(","))
sys.path.insert(0, str(root))

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in hidden:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

# A development install finds the whole of `broker`, wherever one looks.
sys.meta_path[:] = [Hidden(), *(each for each in sys.meta_path if "editable" not in str(each).lower())]
for file in sorted(root.rglob("*.py")):
    import_module(".".join(file.relative_to(root).with_suffix("").parts).removesuffix(".__init__"))
print(import_module("broker.client").__file__)
from broker.cli.main import main
sys.argv = ["broker", *sys.argv[3:]]
main()
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lay out the files of the client's package, and nothing else."""
    folder = tmp_path_factory.mktemp("alone")
    wheel = tomllib.loads(PACKAGE.read_text(encoding="utf-8"))["tool"]["hatch"]["build"]["targets"]["wheel"]
    for source, target in wheel["force-include"].items():
        found = (PACKAGE.parent / source).resolve()
        (folder / target).parent.mkdir(parents=True, exist_ok=True)
        if found.is_dir():
            shutil.copytree(found, folder / target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(found, folder / target)
    return folder


def run(installed: Path, *command: str) -> "subprocess.CompletedProcess[str]":
    line = [sys.executable, "-c", SCRIPT, str(installed), ",".join(HIDDEN), *command]
    return subprocess.run(line, capture_output=True, text=True, check=False, cwd=installed)


def test_all_of_it_imports_and_its_help_lists_no_command_of_the_service(installed: Path) -> None:
    shown = run(installed, "--help")
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.startswith(str(installed))
    assert "submit" in shown.stdout
    assert "│ serve  " not in shown.stdout


def test_a_command_of_the_service_says_what_is_missing(installed: Path) -> None:
    refused = run(installed, "serve")
    assert refused.returncode == 2, refused.stderr
    assert refused.stderr.strip().endswith("pip install lora-broker")


def test_it_needs_no_more_than_it_names() -> None:
    alone, whole = (
        {name.split(">")[0] for name in tomllib.loads(path.read_text(encoding="utf-8"))["project"]["dependencies"]}
        for path in (PACKAGE, ROOT / "pyproject.toml")
    )
    assert alone == {"httpx2", "pydantic", "pyyaml", "rich", "typer", "tzdata"}
    assert alone <= whole

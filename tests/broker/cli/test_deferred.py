"""The command's parts are imported when they are chosen, and not before."""

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from broker.cli import main
from broker.cli.deferred import Place
from broker.cli.local import estimator
from broker.cli.remote.jobs import app as jobs

# What the service is made of: none of it may be paid for by somebody who asks for help, or for the own jobs.
HEAVY = {"sqlalchemy", "fastapi", "alembic", "psycopg", "uvicorn", "tokenizers", "yaml"}


def list_imported(*arguments: str) -> set[str]:
    """Run a command to its end in a new Python, and list the packages that it has imported."""
    script = (
        "import contextlib, sys\n"
        "from broker.cli.main import app\n"
        "with contextlib.suppress(SystemExit):\n"
        f"    app({list(arguments)!r})\n"
        "print('imported', *{name.partition('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, input="")
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize(
    "arguments", [["--help"], ["jobs", "--help"], ["jobs", "list", "--url", "http://127.0.0.1:9", "--key", "k"]]
)
def test_help_and_a_customer_s_commands_import_nothing_of_the_service(arguments: list[str]) -> None:
    """`broker --help` took 1.2 s of CPU: every part of it imported the whole service."""
    assert list_imported(*arguments) & HEAVY == set()


def test_a_prediction_imports_nothing_of_the_service() -> None:
    """`broker estimator predict` took 2 s to start: its reports imported the database and the web stack."""
    needless = HEAVY - {"yaml"} | {"jinja2", "sniffio", "apscheduler", "httpx", "torch", "starlette"}
    assert list_imported("estimator", "predict", "--json") & needless == set()


@pytest.mark.parametrize(
    ("name", "place"), [*main.COMMANDS.items(), *jobs.COMMANDS.items(), *estimator.COMMANDS.items()]
)
def test_every_part_says_of_itself_what_the_list_says_of_it(name: str, place: Place) -> None:
    assert place.load(name).help == place.help


def test_a_part_that_is_not_there_is_a_usage_error() -> None:
    refused = CliRunner().invoke(main.app, ["nosuch"])
    assert refused.exit_code == 2
    assert "No such command 'nosuch'" in refused.stderr

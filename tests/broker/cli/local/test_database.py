"""A command that reads says in one line that the database cannot be read, and what to do."""

from dataclasses import replace
from pathlib import Path

from typer.testing import CliRunner

from broker.cli.main import app
from broker.processes.boot import DatabaseUrls


def test_verify_of_a_database_that_was_never_set_up_is_one_line(urls: DatabaseUrls, tmp_path: Path) -> None:
    nowhere = replace(urls, app=urls.app.replace("broker_app", "nobody"))
    environment = {"BROKER_DATABASE_URL": nowhere.app, "BROKER_DATA_DIR": str(tmp_path)}
    result = CliRunner().invoke(app, ["ledger", "verify"], env=environment)
    assert result.exit_code == 2
    assert result.stderr.startswith("broker: the database cannot be read; has `broker migrate` been run?")

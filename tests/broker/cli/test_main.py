"""The `broker` command against a served broker: exit codes, and errors of one line."""

import json
from pathlib import Path

import psycopg
import pytest

from broker.cli import main
from broker.cli.failures import ExitCode
from tests.broker.cli.conftest import Run, one_line, submit
from tests.broker.factories import CONFIG
from tests.broker.served import Buyer, ServedBroker, free_port


def test_wrong_key_is_one_line(run: Run) -> None:
    refused = run("jobs", "list", BROKER_API_KEY="lbk_wrong")
    assert refused.exit_code == ExitCode.REFUSED
    assert "(401)" in one_line(refused)


@pytest.mark.parametrize("command", [["list"], ["show", "job_x"], ["watch", "job_x"], ["cancel", "job_x"]])
def test_broker_that_does_not_answer_is_one_line(run: Run, command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """It was a traceback of a hundred lines."""
    monkeypatch.setattr("broker.client.rest.time.sleep", lambda _seconds: None)
    url = f"http://127.0.0.1:{free_port()}"
    away = run("jobs", *command, "--url", url)
    assert away.exit_code == ExitCode.UNREACHABLE
    line = one_line(away)
    assert line.startswith(f"broker: no answer from {url} (")
    assert line.endswith("is `broker serve` running there?")


@pytest.mark.parametrize("command", ["show", "watch", "why", "log", "cancel"])
def test_job_that_is_not_there_is_one_line(run: Run, command: str) -> None:
    missing = run("jobs", command, "job_x")
    assert missing.exit_code == ExitCode.REFUSED
    assert "(404)" in one_line(missing)


def test_missing_key_is_a_usage_error_that_names_the_cure(run: Run, tmp_path: Path) -> None:
    refused = run("jobs", "list", BROKER_API_KEY=None, BROKER_DATA_DIR=str(tmp_path))
    assert refused.exit_code == 2
    assert "BROKER_API_KEY" in refused.stderr


@pytest.mark.parametrize(("content", "told"), [("a: [1", "YAML"), ("- 1\n", "must hold keys"), ("", "must hold")])
def test_configuration_that_cannot_be_read_is_a_usage_error(
    run: Run, order: list[str], tmp_path: Path, content: str, told: str
) -> None:
    (tmp_path / "lora.yaml").write_text(content)
    refused = run("jobs", "submit", "--yes", *order)
    assert refused.exit_code == 2
    assert told in " ".join(refused.stderr.replace("│", " ").split())  # the box breaks lines where the path ends


def test_configuration_that_the_broker_refuses_is_one_line(run: Run, order: list[str], tmp_path: Path) -> None:
    (tmp_path / "lora.yaml").write_text(json.dumps(CONFIG | {"lora_rank": 0}))
    refused = run("jobs", "submit", "--yes", *order)
    assert refused.exit_code == ExitCode.REFUSED
    assert "lora_rank" in one_line(refused)


@pytest.mark.slow
def test_ledger_of_a_served_broker_verifies_and_its_database_goes_on(run: Run, broker: ServedBroker) -> None:
    verified = broker.run_cli("ledger", "verify")
    assert verified.returncode == 0, verified.stderr
    assert "a balance is the sum of its entries" in verified.stdout
    assert run("jobs", "list").exit_code == 0


@pytest.mark.slow
def test_broken_ledger_is_exit_code_1_and_says_what_is_broken(
    broker: ServedBroker, buyer: Buyer, run: Run, order: list[str]
) -> None:
    watched = run("jobs", "watch", submit(run, order))
    assert watched.exit_code == 0, watched.output
    with psycopg.connect(broker.database_url(), autocommit=True) as connection:
        change = "UPDATE ledger_accounts SET balance = balance + %s WHERE contract_id = %s AND kind = 'used'"
        assert connection.execute(change, [7, buyer.contract_id]).rowcount > 0
        broken = run("ledger", "verify", BROKER_DATA_DIR=str(broker.data_dir))
        connection.execute(change, [-7, buyer.contract_id])
    assert broken.exit_code == 1, broken.output
    assert "balance" in broken.stdout
    mended = run("ledger", "verify", BROKER_DATA_DIR=str(broker.data_dir))
    assert mended.exit_code == 0, mended.output


def test_migrate_again_changes_nothing(broker: ServedBroker, run: Run) -> None:
    migrated = run("migrate", BROKER_DATA_DIR=str(broker.data_dir))
    assert (migrated.exit_code, migrated.stdout) == (0, "The database is at the newest revision.\n")


def test_database_url_without_the_owner_s_is_one_line(run: Run, tmp_path: Path) -> None:
    alone = {"BROKER_DATA_DIR": str(tmp_path), "BROKER_DATABASE_URL": "postgresql://broker_app@localhost/broker"}
    refused = run("migrate", **alone)
    assert refused.exit_code == 2
    assert "BROKER_MIGRATION_DATABASE_URL" in one_line(refused)


def test_setting_that_does_not_validate_is_named_without_a_traceback(run: Run, tmp_path: Path) -> None:
    refused = run("serve", BROKER_DATA_DIR=str(tmp_path), BROKER_LOCAL_SLOTS="many")
    assert refused.exit_code == 2
    assert "BROKER_LOCAL_SLOTS" in one_line(refused)


def test_help_lists_every_command(run: Run) -> None:
    shown = run("--help").stdout
    listed = {name for name, place in main.COMMANDS.items() if not place.hidden}
    assert set(main.SECTION_OF) == listed, "each stands under a heading, and second names under none"
    for command in listed:
        assert command in shown

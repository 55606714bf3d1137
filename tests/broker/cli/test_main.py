"""The `broker` command against a served broker: what it prints, its exit codes, and errors of one line."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from click.testing import Result
from rich.console import Console
from typer.testing import CliRunner

from broker.cli import jobs, main
from broker.cli.failures import ExitCode
from broker.client.rest import Client
from tests.broker.factories import CONFIG, jsonl
from tests.broker.served import Buyer, ServedBroker, fake_trainer, free_port, make_buyer

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def broker() -> Iterator[ServedBroker]:
    with TemporaryDirectory(prefix="lora-broker-tests-", ignore_cleanup_errors=True) as folder:
        settings = {"trainer_command": fake_trainer(beats=3, pause=0.01), "heartbeat_seconds": "0.2"}
        served = ServedBroker(Path(folder) / "var", settings)
        served.start()
        yield served
        served.close()


@pytest.fixture(scope="module")
def buyer(broker: ServedBroker, tmp_path_factory: pytest.TempPathFactory) -> Buyer:
    with Client(broker.url, broker.admin_key()) as client:
        return make_buyer(client, tmp_path_factory.mktemp("data"))


@pytest.fixture
def run(broker: ServedBroker, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`broker …` in this process, with the served broker's address and key in the environment."""
    monkeypatch.setattr(jobs, "console", Console(width=200))
    monkeypatch.setattr(jobs, "POLL_SECONDS", 0.05)
    environment = {"BROKER_URL": broker.url, "BROKER_API_KEY": broker.admin_key()}

    def invoke(*arguments: str, **changed: str | None) -> Result:
        return CliRunner().invoke(main.app, list(arguments), env=environment | changed)

    return invoke


@pytest.fixture
def order(tmp_path: Path, buyer: Buyer) -> list[str]:
    """Write the files of an order and return the options of `broker jobs submit`."""
    paths = "".join(f"{name}: {json.dumps(value)}\n" for name, value in CONFIG.items()) + "output_dir: ./output\n"
    (tmp_path / "lora.yaml").write_text(paths)
    (tmp_path / "train.jsonl").write_bytes(jsonl())
    files = ["--config", str(tmp_path / "lora.yaml"), "--data", str(tmp_path / "train.jsonl")]
    return [*files, "--customer", buyer.customer_id]


def submit(run: Run, order: list[str]) -> str:
    submitted = run("jobs", "submit", "--yes", *order)
    assert submitted.exit_code == 0, submitted.output
    return next(word for word in submitted.stdout.split() if word.startswith("job_"))


def one_line(result: Result) -> str:
    """Return the error, having checked that it is one line without a traceback."""
    assert result.exception is None or isinstance(result.exception, SystemExit)
    (line,) = result.stderr.splitlines()
    return line


def test_submit_shows_the_price_on_every_plan_and_watch_follows_to_the_end(run: Run, order: list[str]) -> None:
    submitted = run("jobs", "submit", "--yes", *order)
    for plan in ("on_demand", "prepaid", "long_term"):
        assert plan in submitted.stdout
    job_id = next(word for word in submitted.stdout.split() if word.startswith("job_"))
    watched = run("jobs", "watch", job_id)
    assert watched.exit_code == 0, watched.output
    assert f"{job_id} succeeded" in watched.stdout


def test_submit_without_a_yes_reserves_nothing(run: Run, order: list[str]) -> None:
    before = run("jobs", "list").stdout
    declined = run("jobs", "submit", *order)
    assert declined.exit_code == 1
    assert run("jobs", "list").stdout == before


def test_list_and_show_tell_about_a_job(run: Run, order: list[str]) -> None:
    job_id = submit(run, order)
    run("jobs", "watch", job_id)
    assert job_id in run("jobs", "list").stdout
    assert job_id in run("jobs", "list", "--status", "succeeded").stdout
    assert job_id not in run("jobs", "list", "--status", "failed").stdout
    shown = run("jobs", "show", job_id).stdout
    assert '"status": "succeeded"' in shown
    assert "run_succeeded" in shown


def test_job_is_paused_resumed_and_cancelled(run: Run, order: list[str], broker: ServedBroker) -> None:
    with Client(broker.url, broker.admin_key()) as client:
        client.http.patch("/v1/pools/local", json={"open": False}).raise_for_status()
        try:
            job_id = submit(run, order)
            answers = [run("jobs", action, job_id).stdout.strip() for action in ("pause", "resume", "cancel")]
        finally:
            client.http.patch("/v1/pools/local", json={"open": True}).raise_for_status()
    assert answers == [f"{job_id} is paused.", f"{job_id} is queued.", f"{job_id} is cancelled."]
    watched = run("jobs", "watch", job_id)
    assert (watched.exit_code, f"{job_id} cancelled" in watched.stdout) == (1, True)


def test_action_that_the_status_does_not_allow_is_one_line(run: Run, order: list[str]) -> None:
    job_id = submit(run, order)
    run("jobs", "watch", job_id)
    refused = run("jobs", "cancel", job_id)
    assert refused.exit_code == ExitCode.REFUSED
    assert one_line(refused).startswith("broker: The object's state does not allow this. (409) ")


def test_max_cost_is_raised_with_the_resumption(run: Run, order: list[str], broker: ServedBroker) -> None:
    with Client(broker.url, broker.admin_key()) as client:
        client.http.patch("/v1/pools/local", json={"open": False}).raise_for_status()
        try:
            job_id = submit(run, order)
            run("jobs", "pause", job_id)
            resumed = run("jobs", "resume", job_id, "--max-cost", "12.50").stdout.strip()
            job = client.get(f"/jobs/{job_id}")
            run("jobs", "cancel", job_id)
        finally:
            client.http.patch("/v1/pools/local", json={"open": True}).raise_for_status()
    assert (resumed, job["max_cost"]["amount"]) == (f"{job_id} is queued.", "12.50")


@pytest.mark.parametrize("command", [["list"], ["show", "job_x"], ["watch", "job_x"], ["cancel", "job_x"]])
def test_broker_that_does_not_answer_is_one_line(run: Run, command: list[str]) -> None:
    """It was a traceback of a hundred lines."""
    url = f"http://127.0.0.1:{free_port()}"
    away = run("jobs", *command, "--url", url)
    assert away.exit_code == ExitCode.UNREACHABLE
    line = one_line(away)
    assert line.startswith(f"broker: no answer from {url} (")
    assert line.endswith("is `broker serve` running there?")


@pytest.mark.parametrize(("command", "status"), [(["show", "job_x"], "(404)"), (["watch", "job_x"], "(404)")])
def test_job_that_is_not_there_is_one_line(run: Run, command: list[str], status: str) -> None:
    missing = run("jobs", *command)
    assert missing.exit_code == ExitCode.REFUSED
    assert status in one_line(missing)


def test_wrong_key_is_one_line(run: Run) -> None:
    refused = run("jobs", "list", BROKER_API_KEY="lbk_wrong")
    assert refused.exit_code == ExitCode.REFUSED
    assert "(401)" in one_line(refused)


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


def test_ledger_of_a_served_broker_verifies_and_its_database_goes_on(run: Run, broker: ServedBroker) -> None:
    verified = broker.run_cli("ledger", "verify")
    assert verified.returncode == 0, verified.stderr
    assert "every transfer sums to zero" in verified.stdout
    assert run("jobs", "list").exit_code == 0


def test_broken_ledger_is_exit_code_1_and_says_what_is_broken(broker: ServedBroker, buyer: Buyer, run: Run) -> None:
    import psycopg  # noqa: PLC0415

    with psycopg.connect(broker.database_url(), autocommit=True) as connection:
        change = "UPDATE ledger_accounts SET balance = balance + %s WHERE contract_id = %s AND kind = 'used'"
        assert connection.execute(change, [7, buyer.contract_id]).rowcount > 0
        broken = broker.run_cli("ledger", "verify")
        connection.execute(change, [-7, buyer.contract_id])
    assert broken.returncode == 1
    assert "balance" in broken.stdout
    assert broker.run_cli("ledger", "verify").returncode == 0


def test_migrate_again_changes_nothing(broker: ServedBroker) -> None:
    migrated = broker.run_cli("migrate")
    assert (migrated.returncode, migrated.stdout) == (0, "The database is at the newest revision.\n")


def test_database_url_without_the_owner_s_is_one_line(broker: ServedBroker) -> None:
    alone = ServedBroker(broker.data_dir, {"database_url": "postgresql://broker_app@localhost/broker"})
    refused = alone.run_cli("migrate")
    assert refused.returncode == 2
    assert "BROKER_MIGRATION_DATABASE_URL" in refused.stdout + refused.stderr
    assert "Traceback" not in refused.stderr


def test_setting_that_does_not_validate_is_named_without_a_traceback(broker: ServedBroker) -> None:
    refused = ServedBroker(broker.data_dir, {"local_slots": "many"}).run_cli("serve")
    assert refused.returncode == 2
    assert "BROKER_LOCAL_SLOTS" in refused.stdout + refused.stderr
    assert "Traceback" not in refused.stderr


def test_help_lists_every_command(run: Run) -> None:
    shown = run("--help").stdout
    for command in ("serve", "worker", "migrate", "demo", "ledger", "jobs"):
        assert command in shown


def test_a_sample_picture_is_not_printed_as_its_bytes() -> None:
    facts = {"step": 10, "prompt": "茶", "image": "data:image/jpeg;base64," + "A" * 9000}
    assert jobs.describe_facts(facts) == '{"step": 10, "prompt": "茶", "image": "(a picture)"}'

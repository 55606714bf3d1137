"""A served broker, and `broker …` in this process with its address and a key in the environment."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from broker.cli import main
from broker.cli.remote.jobs import logs, watch
from broker.client.typed import BrokerClient
from tests.broker.factories import CONFIG, jsonl
from tests.broker.served import Buyer, ServedBroker, fake_trainer, make_buyer
from tests.conftest import FolderMaker

Run = Callable[..., Result]
FAPIAO = {"fapiao_item": "*服务*算力", "fapiao_tax_code": "3" * 19, "fapiao_tax_rate": "0.06"}


@pytest.fixture(scope="session")
def broker(server_folders: FolderMaker) -> Iterator[ServedBroker]:
    with server_folders() as folder:
        settings = {"trainer_command": fake_trainer(beats=3, pause=0.01), "heartbeat_seconds": "0.2"}
        served = ServedBroker(
            folder / "var", settings | FAPIAO | {"approval_credit": "5000", "captioners": "blip-base"}
        )
        served.start()
        yield served
        served.close()


@pytest.fixture(scope="session")
def admin(broker: ServedBroker) -> Iterator[BrokerClient]:
    with BrokerClient(broker.url, broker.admin_key()) as client:
        yield client


@pytest.fixture(scope="session")
def buyer(admin: BrokerClient, tmp_path_factory: pytest.TempPathFactory) -> Buyer:
    """Make a customer whose jobs go on beyond their quotes: on a busy machine they would pause there."""
    return make_buyer(admin, tmp_path_factory.mktemp("data"), quote_guarantee="cap")


@pytest.fixture(scope="session")
def customer_key(admin: BrokerClient, buyer: Buyer) -> str:
    return str(admin.post(f"/customers/{buyer.customer_id}/api-keys", {"name": "laptop"})["key"])


def make_run(environment: dict[str, str]) -> Run:
    """Make a function that runs `broker …` in this process, in a terminal of 80 columns."""

    def invoke(*arguments: str, stdin: str | None = None, **changed: str | None) -> Result:
        return CliRunner().invoke(
            main.app, list(arguments), input=stdin, env={**environment, "COLUMNS": "80", **changed}
        )

    return invoke


@pytest.fixture
def run(broker: ServedBroker, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`broker …` with the administrator's key."""
    for module in (watch, logs):
        monkeypatch.setattr(module, "POLL_SECONDS", 0.05)
    return make_run({"BROKER_URL": broker.url, "BROKER_API_KEY": broker.admin_key()})


@pytest.fixture
def customer_run(run: Run, broker: ServedBroker, customer_key: str) -> Run:
    """`broker …` with a customer's own key."""
    return make_run({"BROKER_URL": broker.url, "BROKER_API_KEY": customer_key})


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """Write the files of an order and return the options that name them."""
    settings = "".join(f"{name}: {json.dumps(value)}\n" for name, value in CONFIG.items()) + "output_dir: ./output\n"
    (tmp_path / "lora.yaml").write_text(settings)
    (tmp_path / "train.jsonl").write_bytes(jsonl())
    return ["--config", str(tmp_path / "lora.yaml"), "--data", str(tmp_path / "train.jsonl")]


@pytest.fixture
def order(files: list[str], buyer: Buyer) -> list[str]:
    """Return the options of an order that the administrator submits."""
    return [*files, "--customer", buyer.customer_id]


@pytest.fixture
def closed_pool(admin: BrokerClient) -> Iterator[None]:
    """Close the pool while the test lasts: nothing starts."""
    admin.patch("/pools/local", {"open": False})
    yield
    admin.patch("/pools/local", {"open": True})


def reach(broker: ServedBroker, key: str | None = None) -> dict[str, str]:
    """Return the environment of a command that reaches the broker, with the administrator's key or another."""
    return broker.environment | {"BROKER_URL": broker.url, "BROKER_API_KEY": key or broker.admin_key()}


def submit(run: Run, order: list[str], *more: str) -> str:
    """Submit a job; its id."""
    submitted = run("jobs", "submit", "--yes", "--json", *order, *more)
    assert submitted.exit_code == 0, submitted.output
    return str(json.loads(submitted.stdout)["id"])


def one_line(result: Result) -> str:
    """Return the error, having checked that it is one line without a traceback."""
    assert result.exception is None or isinstance(result.exception, SystemExit)
    (line,) = result.stderr.splitlines()
    return line

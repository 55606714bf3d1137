"""docker-compose.yml, as far as a parser can tell: no container engine runs where the tests do."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sysconfig
import tomllib
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from broker.cli.main import app
from broker.config import Settings
from broker.processes.http_server import LINGER_SECONDS

ROOT = Path(__file__).parents[1]
COMPOSE_FILE = ROOT / "docker-compose.yml"
PASSWORDS = {"BROKER_OWNER_PASSWORD": "owner", "BROKER_APP_PASSWORD": "app"}


@pytest.fixture(scope="module")
def services():
    return yaml.safe_load(COMPOSE_FILE.read_text(encoding="utf-8"))["services"]


def print_make_command(target, **variables):
    """Return the command of the broker that `make TARGET` would run, without the folder of the virtual environment."""
    assignments = [f"{name}={value}" for name, value in variables.items()]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    printed = subprocess.run(
        ["make", "--dry-run", "--no-print-directory", target, *assignments],
        cwd=ROOT,
        env=clean,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    last = shlex.split(printed.splitlines()[-1])
    return [Path(last[0]).name, *last[1:]]


def check_schema(text, folder):
    """Check a compose file by the schema of the Compose Specification; returns what is wrong."""
    (folder / "docker-compose.yml").write_text(text, encoding="utf-8")
    command = ["check-jsonschema", "--builtin-schema", "vendor.compose-spec", "--output-format", "json"]
    checked = subprocess.run(
        [Path(sysconfig.get_path("scripts")) / command[0], *command[1:], "docker-compose.yml"],
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
    )
    return [f"{error['path']}: {error['message']}" for error in json.loads(checked.stdout)["errors"]]


def test_file_is_what_the_compose_specification_says(tmp_path):
    assert check_schema(COMPOSE_FILE.read_text(encoding="utf-8"), tmp_path) == []


@pytest.mark.parametrize(
    ("right", "wrong"),
    [("depends_on:", "depend_on:"), ("retries: 12", "retries: [12]")],
    ids=["unknown key", "a list"],
)
def test_what_the_specification_does_not_know_is_found(tmp_path, right, wrong):
    text = COMPOSE_FILE.read_text(encoding="utf-8")
    assert right in text
    assert check_schema(text.replace(right, wrong), tmp_path) != []


def test_broker_has_longer_to_end_than_it_waits_for_requests(services):
    seconds = int(services["broker"]["stop_grace_period"].removesuffix("s"))
    assert seconds > Settings.model_fields["shutdown_seconds"].default + LINGER_SECONDS


def test_broker_serves_with_the_command_of_make_run(services):
    assert services["broker"]["command"] == print_make_command("run", HOST="0.0.0.0", PORT="8000")


def test_migrations_run_with_the_command_of_make_migrate(services):
    assert services["migrate"]["command"] == print_make_command("migrate")


def test_worker_runs_the_worker_of_the_same_command(services):
    assert services["worker"]["command"] == ["broker", "worker"]


def test_nothing_starts_before_what_it_needs(services):
    conditions = {
        name: {needed: rule["condition"] for needed, rule in service.get("depends_on", {}).items()}
        for name, service in services.items()
    }
    assert conditions == {
        "postgres": {},
        "migrate": {"postgres": "service_healthy"},
        "broker": {"postgres": "service_healthy", "migrate": "service_completed_successfully"},
        "worker": {"broker": "service_healthy"},
    }


def test_database_is_asked_by_tcp_which_its_first_set_up_does_not_answer(services):
    """A past fault: on the socket the image's temporary server answered, and the migration met its end."""
    check = services["postgres"]["healthcheck"]["test"]
    assert check[check.index("--host") + 1] == "127.0.0.1"


@pytest.mark.parametrize("name", ["migrate", "broker", "worker"])
def test_services_wait_for_a_database_that_does_not_answer_yet(services, name):
    settings = {key.removeprefix("BROKER_").lower(): value for key, value in services[name]["environment"].items()}
    assert (
        Settings.model_validate({"database_wait_seconds": settings["database_wait_seconds"]}).database_wait_seconds > 0
    )


def test_file_says_which_compose_it_needs():
    text = COMPOSE_FILE.read_text(encoding="utf-8")
    assert any("content" in config for config in yaml.safe_load(text)["configs"].values())
    assert "Docker Compose 2.23.1 or later" in text


def test_further_worker_of_the_documented_override_is_an_agent_of_its_own(services):
    """A pool is served by one live agent: another worker needs its own pool and folder, and the same storage."""
    commented = COMPOSE_FILE.read_text(encoding="utf-8").partition("#   services:\n")[2].partition("\nname:")[0]
    override = yaml.safe_load("services:\n" + "\n".join(line.removeprefix("#   ") for line in commented.splitlines()))
    ((name, worker),) = override["services"].items()
    environment = services["worker"]["environment"] | worker["environment"]
    assert worker["extends"] == {"file": COMPOSE_FILE.name, "service": "worker"}
    assert environment["BROKER_POOL"] == name
    assert environment["BROKER_DATA_DIR"] != services["worker"]["environment"]["BROKER_DATA_DIR"]
    assert environment["BROKER_STORAGE_DIR"] == "/data/objects", "where the broker's own folder has it"
    assert "replicas" not in services["worker"]["deploy"]


def test_services_waited_for_as_healthy_have_a_health_check(services):
    assert "pg_isready" in services["postgres"]["healthcheck"]["test"]
    assert "/readyz" in services["broker"]["healthcheck"]["test"][-1]


def test_migrations_run_once(services):
    assert services["migrate"]["restart"] == "no"


def test_worker_reserves_a_gpu(services):
    devices = services["worker"]["deploy"]["resources"]["reservations"]["devices"]
    assert devices == [{"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}]


def test_worker_names_its_card_as_the_catalogue_does(services):
    variable = re.fullmatch(r"\$\{BROKER_GPU_TYPE:-(.+)\}", services["worker"]["environment"]["BROKER_GPU_TYPE"])
    gpus = yaml.safe_load((ROOT / "pricing" / "catalog" / "gpus.yaml").read_text(encoding="utf-8"))
    assert variable[1] in {gpu["sku"] for gpu in gpus}


def test_worker_image_has_the_trainer_and_the_others_do_not(services):
    targets = {name: service["build"]["target"] for name, service in services.items() if "build" in service}
    assert targets == {"migrate": "broker", "broker": "broker", "worker": "trainer"}
    stages = split_into_stages((ROOT / "Dockerfile").read_text(encoding="utf-8"))
    assert ".[trainer]" in stages["trainer"]
    assert ".[trainer]" not in stages["broker"]


def test_worker_image_can_load_a_base_in_four_bit():
    """A past fault: `quantization: 4bit` was quoted, and failed for want of bitsandbytes."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert any(needed.startswith("bitsandbytes") for needed in extras["gpu"])
    stages = split_into_stages((ROOT / "Dockerfile").read_text(encoding="utf-8"))
    assert ".[gpu]" in stages["trainer"]
    assert ".[gpu]" not in stages["broker"]
    assert "bitsandbytes==" in (ROOT / "constraints.txt").read_text(encoding="utf-8")


def split_into_stages(dockerfile):
    """Split a Dockerfile into the text of each build stage, by the name after AS."""
    stages = {}
    for part in dockerfile.split("\nFROM ")[1:]:
        stages[part.splitlines()[0].split(" AS ")[1]] = part
    return stages


@pytest.mark.parametrize("name", ["migrate", "broker", "worker"])
def test_application_connects_as_another_role_than_the_owner(services, name):
    environment = services[name]["environment"]
    assert environment["BROKER_DATABASE_URL"].startswith("postgresql://broker_app:")
    assert environment["BROKER_PUBLIC_URL"] == "http://broker:8000"


@pytest.mark.parametrize("name", ["migrate", "broker"])
def test_who_migrates_connects_as_the_owner(services, name):
    assert services[name]["environment"]["BROKER_MIGRATION_DATABASE_URL"].startswith("postgresql://broker_owner:")


def test_worker_is_not_given_the_owners_password(services):
    assert "OWNER" not in str(services["worker"]["environment"])


@pytest.mark.parametrize("name", ["migrate", "broker", "worker"])
def test_services_share_the_data_volume(services, name):
    assert "data:/data" in services[name]["volumes"]
    assert services[name]["environment"]["BROKER_DATA_DIR"] == "/data"


def test_what_takes_a_worker_long_to_make_is_in_a_volume_that_it_may_write_to(services):
    cache = services["worker"]["environment"]["LORA_TRAINER_CACHE"]
    assert f"cache:{cache}" in services["worker"]["volumes"]
    stages = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert f"--owner=broker --group=broker /data {cache}" in stages


def test_command_that_brings_a_base_model_is_one_that_there_is():
    (command,) = re.findall(r"worker (broker models add .*)", COMPOSE_FILE.read_text(encoding="utf-8"))
    arguments = shlex.split(command)[1:]
    help_text = CliRunner().invoke(app, [*arguments[:2], "--help"], env={"COLUMNS": "200", "NO_COLOR": "1"}).output
    assert "The folder of the model" in help_text
    assert all(option in help_text for option in arguments if option.startswith("--"))


def has_docker_compose():
    if shutil.which("docker") is None:
        return False
    return subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not has_docker_compose(), reason="no `docker compose` (Docker CLI plugin) on this machine")
def test_docker_compose_accepts_the_file():
    checked = subprocess.run(
        ["docker", "compose", "--file", str(COMPOSE_FILE), "config", "--quiet"],
        env={**os.environ, **PASSWORDS},
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stderr

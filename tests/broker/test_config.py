"""Settings: read from the environment, checked before anything starts."""

import stat
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydantic import ValidationError

from broker.config import Settings
from broker.private_file import write_private_file


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROKER_LEASE_SECONDS", "12.5")
    monkeypatch.setenv("BROKER_DATABASE_URL", "postgresql://broker_app@db/broker")
    settings = Settings()
    assert (settings.lease_seconds, settings.database_url) == (12.5, "postgresql://broker_app@db/broker")


@pytest.mark.parametrize(
    ("name", "value", "word"),
    [
        ("time_zone", "Asia/Nowhere", "no time zone"),
        ("time_zone", "../../etc/passwd", "no time zone"),
        ("time_zone", "", "no time zone"),
        ("gpu_type", "abacus", "catalogue"),
        ("secret_key", "", "16"),
        ("secret_key", "short", "16"),
        ("lease_seconds", 0, "greater than 0"),
        ("lease_seconds", 1.0, "more than heartbeat_seconds"),
        ("local_slots", -1, "greater than or equal to 0"),
        ("port", 70_000, "65535"),
        ("max_attempts", 0, "greater than or equal to 1"),
    ],
)
def test_setting_that_cannot_work_is_refused(name: str, value: object, word: str) -> None:
    with pytest.raises(ValidationError, match=word):
        Settings.model_validate({name: value})


def test_worker_url_is_where_the_broker_listens_unless_it_is_said_otherwise() -> None:
    assert Settings(port=8123).worker_url == "http://127.0.0.1:8123"
    assert Settings(public_url="https://broker.example").worker_url == "https://broker.example"


def test_trainer_command_is_split_like_a_shell_does_and_runs_this_python_by_default() -> None:
    assert Settings(trainer_command="nice -n 5 'my trainer' run").trainer_argv == [
        "nice",
        "-n",
        "5",
        "my trainer",
        "run",
    ]
    assert Settings().trainer_argv[0] == sys.executable


def test_secret_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "new")
    secret = settings.load_secret()
    assert len(secret) == 64
    assert Settings(data_dir=tmp_path / "new").load_secret() == secret
    assert stat.S_IMODE((tmp_path / "new" / "secret.key").stat().st_mode) == 0o600
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["secret.key"]


def test_secret_of_the_environment_wins(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, secret_key="k" * 16)
    assert settings.load_secret() == b"k" * 16
    assert list(tmp_path.iterdir()) == []


def test_processes_that_start_at_once_have_one_secret(tmp_path: Path) -> None:
    """A past fault: the later one replaced the file, and the run tokens of the first were refused."""
    settings = Settings(data_dir=tmp_path)
    with ThreadPoolExecutor(16) as pool:
        secrets = set(pool.map(lambda _number: settings.load_secret(), range(64)))
    assert secrets == {settings.load_secret()}


def test_private_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "admin.key"
    write_private_file(path, "first")
    write_private_file(path, "second")
    assert path.read_text() == "second\n"
    with pytest.raises(FileExistsError):
        write_private_file(path, "third", replace=False)
    assert [file.name for file in path.parent.iterdir()] == ["admin.key"]
    assert path.read_text() == "second\n"

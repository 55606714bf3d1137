"""Which broker a command speaks to, and with which key: options, environment, files; a key stays with its address."""

import json
import os
from pathlib import Path

import pytest
import typer

from broker.cli.remote.connection import DEFAULT_URL, find_connection
from broker.client_file import ClientFile, named_to_clients, read_client_file, user_folder, write_client_file
from tests.broker.cli.conftest import make_run
from tests.broker.served import ServedBroker

HERE = "http://127.0.0.1:8123"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in an empty folder, with a home of its own and no BROKER_ variables."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def find(url: str | None = None, key: str | None = None, **environment: str) -> tuple[str, str]:
    found = find_connection(url, key, {"XDG_CONFIG_HOME": "config", **environment})
    return found.url, found.api_key


def refused(url: str | None = None, **environment: str) -> str:
    with pytest.raises(typer.BadParameter) as caught:
        find(url, **environment)
    return str(caught.value)


def test_options_go_before_the_environment_and_that_before_files() -> None:
    write_client_file(Path("var"), url=HERE, api_key="lbk_file")
    variables = {"BROKER_URL": "http://env", "BROKER_API_KEY": "lbk_env"}
    assert find("http://option", "lbk_option", **variables) == ("http://option", "lbk_option")
    assert find(**variables) == ("http://env", "lbk_env")
    assert find() == (HERE, "lbk_file")
    assert find(key="lbk_option") == (HERE, "lbk_option")


def test_administrator_s_key_is_taken_where_the_file_has_none() -> None:
    write_client_file(Path("var"), url=HERE)
    Path("var/admin.key").write_text("lbk_admin\n")
    assert find() == (HERE, "lbk_admin")
    write_client_file(Path("var"), api_key="lbk_customer")
    assert find() == (HERE, "lbk_customer")


def test_of_the_usual_folders_the_one_started_last_counts() -> None:
    """After `make demo` the command did not find the demo's key."""
    write_client_file(Path("var"), url=HERE, api_key="lbk_serve")
    demo = write_client_file(Path("var/demo"), url=DEFAULT_URL, api_key="lbk_demo")
    os.utime("var/client.json", (1, 1))
    assert find() == (DEFAULT_URL, "lbk_demo")
    os.utime(demo, (0, 0))
    assert find() == (HERE, "lbk_serve")


def test_folder_that_is_set_is_the_only_one() -> None:
    write_client_file(Path("var"), url=HERE, api_key="lbk_serve")
    write_client_file(Path("other"), url="http://other", api_key="lbk_other")
    assert find(BROKER_DATA_DIR="other") == ("http://other", "lbk_other")
    assert "there is no API key" in refused(BROKER_DATA_DIR="nothing")


def test_user_s_own_file_is_the_last() -> None:
    write_client_file(user_folder({"XDG_CONFIG_HOME": "config"}), url="https://broker.example", api_key="lbk_user")
    assert find() == ("https://broker.example", "lbk_user")
    write_client_file(Path("var"), url=HERE, api_key="lbk_serve")
    assert find() == (HERE, "lbk_serve")


def test_key_of_a_file_goes_to_no_other_address() -> None:
    """The administrator's key of this machine would be sent to whatever BROKER_URL names."""
    write_client_file(Path("var"), url=HERE, api_key="lbk_file")
    assert "not for https://elsewhere.example" in refused("https://elsewhere.example")
    assert find(HERE.replace("127.0.0.1", "localhost") + "/")[1] == "lbk_file"


@pytest.mark.parametrize("content", ["{", "[]", '{"url": 7}', "\udcff"])
def test_file_that_is_not_ours_is_a_usage_error(content: str) -> None:
    Path("var").mkdir()
    Path("var/client.json").write_text(content, errors="surrogateescape")
    assert "client.json" in refused()


def test_file_is_the_owner_s_alone_and_keeps_what_is_not_named() -> None:
    path = write_client_file(Path("var"), url=HERE)
    write_client_file(Path("var"), api_key="lbk_x")
    assert path.stat().st_mode & 0o777 == 0o600
    assert json.loads(path.read_text()) == {"url": HERE, "api_key": "lbk_x"}
    assert read_client_file(Path("nowhere")) is None


def test_command_finds_the_served_broker_by_its_data_directory(broker: ServedBroker) -> None:
    """`serve` writes where it listens."""
    shown = make_run({"BROKER_DATA_DIR": str(broker.data_dir)})("whoami")
    assert shown.exit_code == 0, shown.output
    assert broker.url in shown.stdout
    assert "role admin" in shown.stdout


def test_login_keeps_a_key_that_the_broker_accepts(broker: ServedBroker, customer_key: str, folder: Path) -> None:
    run = make_run({"XDG_CONFIG_HOME": str(folder / "config")})
    wrong = run("login", "--url", broker.url, "--api-key", "lbk_wrong")
    assert wrong.exit_code == 3
    assert "there is no API key" in " ".join(run("whoami").stderr.replace("│", " ").split())
    kept = run("login", "--url", broker.url, stdin=f"{customer_key}\n")
    assert kept.exit_code == 0, kept.output
    assert json.loads(run("whoami", "--json").stdout)["role"] == "customer"
    assert run("logout").exit_code == 0
    assert run("whoami").exit_code == 2


def test_broker_that_ran_beside_another_leaves_the_others_address(tmp_path: Path) -> None:
    """A past fault: a second `broker serve` on one data directory left its own address behind when it ended."""
    with named_to_clients(tmp_path, HERE, beside_another=False):
        with named_to_clients(tmp_path, "http://127.0.0.1:2", beside_another=True):
            assert read_client_file(tmp_path) == ClientFile("http://127.0.0.1:2")
        assert read_client_file(tmp_path) == ClientFile(HERE)
    assert read_client_file(tmp_path) == ClientFile(HERE)


def test_first_broker_that_ends_leaves_the_second_named(tmp_path: Path) -> None:
    first = named_to_clients(tmp_path, HERE, beside_another=False)
    second = named_to_clients(tmp_path, "http://127.0.0.1:2", beside_another=True)
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert read_client_file(tmp_path) == ClientFile("http://127.0.0.1:2")


def test_a_terminal_that_speaks_chinese_is_told_in_chinese_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    for language, accepted in (("zh_CN.UTF-8", "zh"), ("en_GB.UTF-8", None)):
        monkeypatch.setenv("LC_ALL", language)
        with find_connection(HERE, "lbk_option", {}).open() as client:
            assert client.http.headers.get("accept-language") == accepted

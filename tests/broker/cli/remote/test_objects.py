"""Adapters, data sets, base models, contracts and balance by the command."""

import json
from pathlib import Path

import pytest

from broker.cli.failures import ExitCode
from broker.client.typed import BrokerClient
from pricing.catalog import CATALOG
from tests.broker.cli.conftest import Run, submit
from tests.broker.served import Buyer


def test_contract_and_balance_tell_what_is_left(customer_run: Run, buyer: Buyer, admin: BrokerClient) -> None:
    shown = customer_run("contracts", "show", buyer.contract_id[:-1])
    assert shown.exit_code == 0, shown.output
    assert "6.8 yuan a GPU-hour" in shown.stdout
    assert buyer.contract_id in customer_run("contracts", "list").stdout
    balance = json.loads(customer_run("balance", "--json").stdout)
    assert balance["contract_id"] == buyer.contract_id
    assert json.loads(customer_run("contracts", "balance", buyer.contract_id, "--json").stdout)["object"] == "balance"
    assert "to be invoiced" in customer_run("balance").stdout
    assert admin.get_contract(buyer.contract_id) == json.loads(
        customer_run("contracts", "show", buyer.contract_id, "--json").stdout
    )


def test_staff_name_the_customer_whose_balance_they_ask_for(run: Run, buyer: Buyer) -> None:
    assert run("balance").exit_code == ExitCode.USAGE
    assert json.loads(run("balance", "--customer", buyer.customer_id, "--json").stdout)["object"] == "balance"


def test_base_models_that_can_be_named_are_listed(customer_run: Run) -> None:
    assert "smollm2-135m-instruct" in customer_run("base-models").stdout
    listed = json.loads(customer_run("base-models", "--all", "--json").stdout)["data"]
    assert any(not model["can_be_quoted"] for model in listed)


def test_data_set_is_listed_shown_and_deleted(customer_run: Run, files: list[str]) -> None:
    dataset = json.loads(customer_run("datasets", "upload", files[3], "--name", "茶", "--json").stdout)
    assert dataset["id"] in customer_run("datasets", "list").stdout
    assert "茶: 8 usable rows" in customer_run("datasets", "show", dataset["id"][:-1]).stdout
    assert customer_run("datasets", "delete", dataset["id"]).exit_code == ExitCode.USAGE
    assert customer_run("datasets", "delete", dataset["id"], "--yes").exit_code == 0
    assert customer_run("datasets", "show", dataset["id"]).exit_code == ExitCode.REFUSED


def test_adapter_is_deleted(run: Run, order: list[str], admin: BrokerClient) -> None:
    job_id = submit(run, order)
    run("jobs", "watch", job_id)
    adapter_id = str(admin.get_job(job_id)["adapter_id"])
    assert run("adapters", "delete", adapter_id, "-y").exit_code == 0
    assert run("adapters", "show", adapter_id).exit_code == ExitCode.REFUSED


@pytest.mark.parametrize("path", ["nothing.jsonl", "empty"])
def test_data_that_are_not_there_are_a_usage_error(customer_run: Run, tmp_path: Path, path: str) -> None:
    (tmp_path / "empty").mkdir()
    assert customer_run("datasets", "upload", str(tmp_path / path)).exit_code == ExitCode.USAGE


def test_rate_card_is_published_listed_and_shown(run: Run, customer_run: Run, tmp_path: Path) -> None:
    text = (CATALOG / "rate_cards" / "2026-01-01.yaml").read_text(encoding="utf-8")
    later = text.replace('"2026-01-01"', '"2099-01-01"').replace("effective_from: 2026", "effective_from: 2099")
    file = tmp_path / "card.yaml"
    file.write_text(later.replace('"6.8"', "6.8"))
    refused = run("rate-cards", "publish", str(file))
    assert (refused.exit_code, "plans.on_demand.per_gpu_hour" in refused.output) == (ExitCode.USAGE, True)
    file.write_text(later.replace('"6.8"', '"7.5"'))
    assert customer_run("rate-cards", "publish", str(file)).exit_code == ExitCode.REFUSED
    assert "in force from 2099-01-01" in run("rate-cards", "publish", str(file)).stdout
    assert run("rate-cards", "publish", str(file)).exit_code == ExitCode.REFUSED
    assert "2099-01-01  2099-01-01  upcoming" in customer_run("rate-cards", "list").stdout
    listed = json.loads(run("rate-cards", "list", "--json").stdout)["data"]
    assert [each["version"] for each in listed] == ["2099-01-01", "2026-01-01"]
    assert json.loads(run("rate-cards", "show", "2099-01-01", "--json").stdout) == listed[0]
    assert "7.5" in run("rate-cards", "show", "2099-01-01").stdout

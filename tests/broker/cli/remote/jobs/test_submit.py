"""`broker jobs submit`: findings before the price, the own plan's price, a question that says what is reserved."""

import json
from pathlib import Path

import pytest

from broker.cli.failures import ExitCode
from broker.client.typed import BrokerClient
from tests.broker.cli.conftest import Run, make_run, one_line, reach, submit
from tests.broker.cli.terminal import Terminal
from tests.broker.factories import CONFIG, jsonl
from tests.broker.served import Buyer, ServedBroker, make_buyer


def list_job_ids(run: Run) -> list[str]:
    return [job["id"] for job in json.loads(run("jobs", "list", "--all", "--json").stdout)["data"]]


def test_price_is_of_the_own_plan_and_of_the_others_on_demand(customer_run: Run, files: list[str]) -> None:
    """It listed three plans, not one's own, and a column "GPU-hours" held yuan."""
    own = customer_run("quotes", "create", *files)
    assert own.exit_code == 0, own.output
    assert "on_demand" in own.stdout
    assert "prepaid" not in own.stdout
    assert "GPU time, yuan" in own.stdout
    compared = customer_run("quotes", "create", "--compare", *files).stdout
    assert "on_demand (yours)" in compared
    assert "long_term" in compared


def test_price_is_told_from_p50_to_p90(customer_run: Run, files: list[str]) -> None:
    quote = json.loads(customer_run("quotes", "create", "--json", *files).stdout)
    own = next(price for price in quote["prices"] if price["plan"] == "on_demand")
    shown = customer_run("quotes", "show", quote["id"]).stdout
    low, high = own["total"]["amount"], own["total_p90"]["amount"]
    assert (low if low == high else f"{low} to {high}") in shown, (
        "jobs of before may have taught that they are the same"
    )


def test_nobody_to_say_yes_reserves_nothing(customer_run: Run, files: list[str]) -> None:
    before = list_job_ids(customer_run)
    refused = customer_run("jobs", "submit", "--json", *files)
    assert refused.exit_code == 2
    assert "--yes" in json.loads(refused.stderr.splitlines()[-1])["detail"]
    assert list_job_ids(customer_run) == before


@pytest.mark.parametrize(("answer", "code", "added"), [("n", 1, 0), ("y", 0, 1)])
def test_question_says_what_is_reserved_and_a_no_reserves_nothing(
    customer_run: Run,
    broker: ServedBroker,
    customer_key: str,
    buyer: Buyer,
    files: list[str],
    answer: str,
    code: int,
    added: int,
) -> None:
    """It asked "Reserve this and submit?"."""
    before = list_job_ids(customer_run)
    asking = Terminal.start(["jobs", "submit", *files], reach(broker, customer_key))
    asking.wait_for("Submit? [y/N]")
    question = " ".join(asking.shown[asking.shown.index("Reserve up to") :].split())
    for told in ("GPU-hours and", "tokens, at most", f"CNY, from {buyer.contract_id} (on_demand)?", "never charged"):
        assert told in question
    asking.type(f"{answer}\n")
    assert asking.wait() == code
    assert len(list_job_ids(customer_run)) == len(before) + added


def test_what_a_job_is_given_stands_in_it(customer_run: Run, files: list[str], buyer: Buyer) -> None:
    """Other texts advised `--max-cost` and `--contract`, which there were not."""
    made = json.loads(customer_run("projects", "create", "tone", "--json").stdout)
    more = ["--name", "autumn", "--project", "tone", "--max-cost", "12.50", "--queue", "standard"]
    more += ["--label", "team=search", "--label", "order=PO-7=b"]
    job = json.loads(
        customer_run("jobs", "submit", "-y", "--json", *files, "--contract", buyer.contract_id[:-2], *more).stdout
    )
    assert job["labels"] == {"team": "search", "order": "PO-7=b"}
    assert (job["name"], job["project_id"], job["queue"]) == ("autumn", made["id"], "standard")
    assert (job["max_cost"]["amount"], job["contract_id"]) == ("12.50", buyer.contract_id)


@pytest.mark.parametrize("typed", [["team"], ["team=tea", "--label", "team=coffee"]])
def test_labels_are_typed_as_names_with_values_each_once(customer_run: Run, files: list[str], typed: list[str]) -> None:
    refused = customer_run("jobs", "submit", "-y", *files, "--label", *typed)
    assert refused.exit_code == ExitCode.USAGE
    assert "--label" in refused.stderr


def test_json_is_the_job_alone_and_words_go_to_standard_error(customer_run: Run, files: list[str]) -> None:
    submitted = customer_run("jobs", "submit", "-y", "--json", *files)
    assert json.loads(submitted.stdout)["object"] == "job"
    assert "on_demand" in submitted.stderr


def test_job_of_an_earlier_quote_or_data_set(customer_run: Run, files: list[str]) -> None:
    quote = json.loads(customer_run("quotes", "create", "--json", *files).stdout)
    by_quote = json.loads(customer_run("jobs", "submit", "-y", "--json", "--quote", quote["id"]).stdout)
    assert (by_quote["quote_id"], by_quote["dataset_id"]) == (quote["id"], quote["dataset_id"])
    again = ["--config", files[1], "--dataset", quote["dataset_id"][:-2]]
    by_dataset = json.loads(customer_run("jobs", "submit", "-y", "--json", *again).stdout)
    assert by_dataset["dataset_id"] == quote["dataset_id"]


def test_folder_is_sent_and_what_is_left_out_is_said(customer_run: Run, files: list[str], tmp_path: Path) -> None:
    folder = tmp_path / "品牌"
    folder.mkdir()
    (folder / "train.jsonl").write_bytes(jsonl())
    (folder / "notes.docx").write_bytes(b"x")
    sent = customer_run("datasets", "upload", str(folder), "--json")
    assert sent.exit_code == 0, sent.output
    dataset = json.loads(sent.stdout)
    assert ([file["name"] for file in dataset["files"]], dataset["name"]) == (["train.jsonl"], "品牌")
    assert "notes.docx" in sent.stderr
    assert customer_run("quotes", "create", *files[:2], "--data", str(folder)).exit_code == 0


def test_rows_that_cannot_be_used_stop_the_submission_before_its_price(
    customer_run: Run, files: list[str], tmp_path: Path
) -> None:
    """Rows were dropped in silence, and the rest was trained and billed."""
    (tmp_path / "train.jsonl").write_bytes(jsonl() + b'\n{"prompt": "no answer"}\n')
    stopped = customer_run("jobs", "submit", "-y", *files)
    assert stopped.exit_code == 1
    assert "train.jsonl, line" in stopped.stdout
    assert "yuan" not in stopped.stdout
    assert "--skip-bad-rows" in one_line(stopped)
    problem = json.loads(customer_run("jobs", "submit", "-y", "--json", *files).stderr.splitlines()[-1])
    assert problem["findings"][0]["file"] == "train.jsonl"
    skipped = customer_run("quotes", "create", "--skip-bad-rows", *files)
    assert skipped.exit_code == 0, skipped.output
    assert "1 row of the data that cannot be trained" in skipped.stdout
    assert submit(customer_run, [*files, "--skip-bad-rows"]).startswith("job_")


@pytest.mark.parametrize("options", [["--config", "{config}"], ["--data", "{data}"], ["--max-cost", "lots"]])
def test_command_line_that_says_too_little_says_what_is_missing(
    customer_run: Run, files: list[str], options: list[str]
) -> None:
    names = {"{config}": files[1], "{data}": files[3]}
    refused = customer_run("jobs", "submit", *[names.get(option, option) for option in options])
    assert refused.exit_code == 2
    assert "--" in refused.stderr


def test_customer_without_a_contract_sees_the_plans_and_is_told(
    admin: BrokerClient, broker: ServedBroker, files: list[str]
) -> None:
    customer = admin.post("/customers", {"name": "No contract yet"})["id"]
    key = admin.post(f"/customers/{customer}/api-keys", {"name": "laptop"})["key"]
    alone = make_run({"BROKER_URL": broker.url, "BROKER_API_KEY": key})
    quoted = alone("quotes", "create", *files)
    assert quoted.exit_code == 0, quoted.output
    for plan in ("on_demand", "prepaid", "long_term"):
        assert plan in quoted.stdout
    refused = alone("jobs", "submit", "-y", *files)
    assert refused.exit_code == ExitCode.REFUSED, "as the broker would answer"
    assert "no contract is in force" in one_line(refused)


def test_several_contracts_have_to_be_told_apart(
    admin: BrokerClient, broker: ServedBroker, files: list[str], tmp_path: Path
) -> None:
    buyer = make_buyer(admin, tmp_path)
    second = admin.post("/contracts", {"customer_id": buyer.customer_id, "plan": "on_demand", "committed_gpu_hours": 0})
    key = admin.post(f"/customers/{buyer.customer_id}/api-keys", {"name": "laptop"})["key"]
    own = make_run({"BROKER_URL": broker.url, "BROKER_API_KEY": key})
    refused = own("jobs", "submit", "-y", "--json", *files)
    assert refused.exit_code == 2
    told = json.loads(refused.stderr.splitlines()[-1])["detail"]
    assert buyer.contract_id in told
    assert second["id"] in told
    assert submit(own, files, "--contract", second["id"]).startswith("job_")


def test_configuration_that_the_broker_refuses_is_one_line(customer_run: Run, files: list[str], tmp_path: Path) -> None:
    (tmp_path / "lora.yaml").write_text(json.dumps(CONFIG | {"lora_rank": 0}))
    refused = customer_run("jobs", "submit", "--yes", *files)
    assert refused.exit_code == 3
    assert "lora_rank" in one_line(refused)


def test_a_job_says_on_which_types_it_may_run_and_when_it_should_be_done(customer_run: Run, files: list[str]) -> None:
    trade_off = ["--gpu-type", "CPU", "--prefer", "fastest", "--finish-by", "2036-11-24T18:00:00Z"]
    submitted = customer_run("jobs", "submit", "--json", "--yes", *files, *trade_off)
    assert submitted.exit_code == 0, submitted.output
    job = json.loads(submitted.stdout)
    assert [each["sku"] for each in job["gpu_types"]] == ["cpu"]
    assert (job["prefer"], job["finish_by"]) == ("fastest", "2036-11-24T18:00:00Z")
    refused = customer_run("jobs", "submit", "--yes", *files, "--gpu-type", "voodoo")
    assert "no quoted type; the job may accept cpu" in refused.output

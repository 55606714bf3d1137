"""`broker jobs sweep`: every combination of some settings is priced, and all become jobs, or none does."""

import json

import pytest
import typer

from broker.cli.remote.jobs.sweep import combine, read_values
from tests.broker.cli.conftest import Run


def test_values_are_read_as_yaml_reads_them_and_every_one_goes_with_every_other() -> None:
    values = read_values(["lora_rank=4,8", "target_modules=[q_proj]", "learning_rate=1.0e-4,2.0e-4"])
    assert values == {"lora_rank": [4, 8], "target_modules": [["q_proj"]], "learning_rate": [1e-4, 2e-4]}
    changes = combine({"lora_rank": [4, 8], "learning_rate": [1, 2]})
    assert changes == [
        {"lora_rank": 4, "learning_rate": 1},
        {"lora_rank": 4, "learning_rate": 2},
        {"lora_rank": 8, "learning_rate": 1},
        {"lora_rank": 8, "learning_rate": 2},
    ]


@pytest.mark.parametrize("typed", [["lora_rank"], ["=4"], ["a=1", "a=2"], ["a=[1"]])
def test_what_is_no_setting_is_refused(typed: list[str]) -> None:
    with pytest.raises(typer.BadParameter):
        read_values(typed)


def test_more_combinations_than_a_request_takes_are_refused() -> None:
    combine({"a": list(range(10)), "b": list(range(10))})
    with pytest.raises(typer.BadParameter, match="101 combinations are more than 100"):
        combine({"a": list(range(101))})


def test_a_sweep_is_priced_and_submitted_in_its_order(customer_run: Run, files: list[str], closed_pool: None) -> None:
    asked = [*files, "--set", "lora_rank=4,8", "--at-once", "1", "--name", "ranks"]
    told = customer_run("jobs", "sweep", *asked)
    assert "lora_rank 4" in told.output
    assert "2 jobs on on_demand" in told.output
    assert "nobody is here to say yes" in told.output
    batch = json.loads(customer_run("jobs", "sweep", "--yes", "--json", *asked).stdout)
    assert [(job["name"], job["config"]["lora_rank"]) for job in batch["data"]] == [("ranks #1", 4), ("ranks #2", 8)]
    listed = json.loads(customer_run("jobs", "list", "--json", "--batch", batch["id"]).stdout)["data"]
    assert {job["id"] for job in listed} == {job["id"] for job in batch["data"]}
    for job in batch["data"]:
        customer_run("jobs", "cancel", job["id"])


def test_a_setting_that_is_wrong_submits_nothing(customer_run: Run, files: list[str]) -> None:
    refused = customer_run("jobs", "sweep", "--yes", *files, "--set", "lora_rank=4,-1")
    assert refused.exit_code != 0
    assert "configs.1" in refused.output

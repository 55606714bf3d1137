"""`broker templates` against a served broker, and a job of one."""

import json
from pathlib import Path

import pytest
import typer

from broker.cli.failures import ExitCode
from broker.cli.remote.templates import read_bounds, read_changes
from tests.broker.cli.conftest import Run
from tests.broker.served import Buyer

CONFIG = "base_model: smollm2-135m-instruct\nlora_rank: 8\nepochs: 2\noutput_dir: ./out\n"


@pytest.mark.parametrize(
    ("typed", "key", "bounds"),
    [
        ("seed", "seed", {}),
        ("lora_rank=4,8", "lora_rank", {"one_of": [4, 8]}),
        ("epochs=1..20", "epochs", {"at_least": 1, "at_most": 20}),
        ("epochs=..20", "epochs", {"at_most": 20}),
        ("lr_scheduler=cosine,constant", "lr_scheduler", {"one_of": ["cosine", "constant"]}),
    ],
)
def test_bounds_are_read_as_they_are_typed(typed: str, key: str, bounds: dict[str, object]) -> None:
    assert read_bounds(typed) == (key, bounds)


def test_changes_are_read_as_a_yaml_file_would_have_them() -> None:
    changes = ["lora_rank=16", "learning_rate=2.0e-4", "target_modules=[q_proj, v_proj]"]
    assert read_changes(changes) == {
        "lora_rank": 16,
        "learning_rate": 2e-4,
        "target_modules": ["q_proj", "v_proj"],
    }
    for wrong in (["lora_rank"], ["seed=1", "seed=2"]):
        with pytest.raises(typer.BadParameter):
            read_changes(wrong)


def test_a_template_is_made_used_and_archived(customer_run: Run, buyer: Buyer, tmp_path: Path) -> None:
    file = tmp_path / "style.yaml"
    file.write_text(CONFIG)
    customer_run("projects", "create", "spring")
    bounds = ("--may-change", "lora_rank=4,8", "--may-change", "seed")
    made = customer_run("templates", "create", "style", "--project", "spring", "--config", str(file), *bounds)
    assert made.exit_code == 0, made.output
    assert made.stdout.startswith("style@1 (tpl_")
    refused = customer_run("templates", "create", "style", "--project", "spring", "--config", str(file))
    assert refused.exit_code == ExitCode.REFUSED
    quote = ("quote", "--template", "style", "--dataset", buyer.dataset_id)
    quoted = customer_run(*quote, "--set", "lora_rank=4")
    assert quoted.exit_code == 0, quoted.output
    assert "--template style --set=lora_rank=4" in quoted.stdout
    assert json.loads(customer_run(*quote, "--set", "seed=3", "--json").stdout)["config"]["seed"] == 3
    assert customer_run(*quote, "--set", "lora_rank=5").exit_code == ExitCode.REFUSED
    for wrong in (["--config", str(file)], ["--set", "lora_rank"]):
        assert customer_run(*quote, *wrong).exit_code == ExitCode.USAGE
    assert customer_run("quote", "--dataset", buyer.dataset_id).exit_code == ExitCode.USAGE
    order = ("submit", "--template", "style", "--dataset", buyer.dataset_id, "--yes", "--json")
    job = json.loads(customer_run(*order, "--set", "lora_rank=4").stdout)
    assert (job["template"], job["config"]["lora_rank"]) == ("style@1", 4)
    refused = customer_run(*order, "--set", "epochs=9")
    assert refused.exit_code == ExitCode.REFUSED
    assert "config.epochs" in refused.output
    assert customer_run(*order, "--config", str(file)).exit_code == ExitCode.USAGE
    added = customer_run("templates", "add-version", "style", "--config", str(file), "--note", "longer", "--json")
    newest = json.loads(added.stdout)["newest"]
    assert newest["note"] == "longer"
    assert newest["may_change"] == {"lora_rank": {"one_of": [4, 8]}, "seed": {}}, "as before, unless it is said"
    assert "lora_rank: 8" in customer_run("templates", "show", "style@1").stdout
    assert "style@2" in customer_run("templates", "list", "--project", "spring").stdout
    assert "out of use" in customer_run("templates", "archive", "style").stdout
    assert "style" not in customer_run("templates", "list").stdout
    assert "in use" in customer_run("templates", "restore", "style").stdout

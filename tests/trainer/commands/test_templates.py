"""`trainer schema` and `trainer template`: what they print is what the trainer takes."""

import json
import re
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from pricing.training.config import TrainingConfig
from pricing.training.config_parsing import parse_training_config
from trainer.commands.cli import app
from trainer.commands.schema import describe_schema, format_schema
from trainer.commands.template import list_templates, read_template

DOCS = Path(__file__).parents[3] / "docs"


@pytest.fixture
def trainer():
    return lambda *words: CliRunner().invoke(app, list(words))


def test_there_is_a_template_for_each_kind() -> None:
    assert list_templates() == ["chatglm", "llama", "sd15", "sdxl"]


@pytest.mark.parametrize("kind", ["chatglm", "llama", "sd15", "sdxl"])
def test_a_template_is_a_configuration_and_so_is_each_key_that_is_commented_out(kind) -> None:
    content = read_template(kind)
    parse_training_config(yaml.safe_load(content))
    offered = re.findall(r"^# ([a-z_]+: .*)$", content, flags=re.MULTILINE)
    assert offered
    for line in offered:
        key, value = next(iter(yaml.safe_load(line).items()))
        parse_training_config({"base_model": "m", "train_data_dir": "d", key: value})


def test_a_template_is_written_once_and_never_over_a_file(trainer, tmp_path) -> None:
    file = tmp_path / "lora.yaml"
    assert trainer("template", "llama", "--output", str(file)).exit_code == 0
    assert file.read_text() == read_template("llama")
    again = trainer("template", "llama", "--output", str(file))
    assert again.exit_code == 2
    assert "is there already" in again.output
    assert trainer("template", "sd15").output == read_template("sd15")


def test_a_template_that_is_not_there_is_told_which_are(trainer) -> None:
    result = trainer("template", "llamma")
    assert result.exit_code == 2
    assert "chatglm, llama, sd15, sdxl" in result.output


def test_the_schema_knows_every_key_and_no_other(trainer) -> None:
    schema = json.loads(trainer("schema").output)
    assert schema == describe_schema()
    assert set(schema["properties"]) == set(TrainingConfig.model_fields)
    assert schema["additionalProperties"] is False
    assert schema["required"] == ["base_model"]
    assert all(entry.get("description") for entry in schema["properties"].values())


def test_the_schema_lets_target_modules_be_names_or_all_linear() -> None:
    forms = describe_schema()["properties"]["target_modules"]["anyOf"]
    assert {"const": "all-linear"} in forms
    assert parse_training_config({"base_model": "m", "target_modules": "all-linear"}).target_modules == ("all-linear",)


def test_the_published_schema_is_the_one_in_force() -> None:
    published = (DOCS / "lora.schema.json").read_text(encoding="utf-8")
    assert published == format_schema() + "\n", "run `trainer schema > docs/lora.schema.json`"

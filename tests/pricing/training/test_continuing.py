"""What of a configuration must be as it was for an adapter's weights to fit."""

import pytest

from pricing.catalog.offered import SHIPPED
from pricing.training.config import TrainingConfig
from pricing.training.config_parsing import ConfigInvalid
from pricing.training.continuing import list_misfits
from pricing.training.job_config import parse_job_config

BASE = {"base_model": "smollm2-135m-instruct"}
THEIRS = TrainingConfig(**BASE)


@pytest.mark.parametrize(
    ("ours", "field"),
    [
        ({}, None),
        ({"epochs": 3, "lora_alpha": 32, "learning_rate": 1e-5, "lora_dropout": 0.1}, None),
        ({"target_modules": ["v_proj", "q_proj"]}, None),
        ({"lora_rank": 4}, "lora_rank"),
        ({"variant": "dora"}, "variant"),
        ({"target_modules": ["all-linear"]}, "target_modules"),
        ({"base_model": "smollm2-360m-instruct"}, "base_model"),
    ],
)
def test_what_does_not_fit_is_named_with_its_cure(ours: dict[str, object], field: str | None) -> None:
    config = TrainingConfig(**(BASE | ours))
    found = list_misfits(THEIRS, config, SHIPPED.get(BASE["base_model"]))
    assert [each.field for each in found] == ([] if field is None else [field])


def test_a_job_goes_on_from_an_adapter_by_its_id_and_from_no_file() -> None:
    config, _profile = parse_job_config({**BASE, "init_from": "ada_01k"})
    assert config.init_from == "ada_01k"
    for bad in ("./adapter.safetensors", "job_01k", ""):
        with pytest.raises(ConfigInvalid, match="must be the id of an adapter"):
            parse_job_config({**BASE, "init_from": bad})

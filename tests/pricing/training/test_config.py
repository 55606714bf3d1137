import pytest
import yaml

from pricing.training.config import TrainingConfig
from pricing.training.config_parsing import ConfigInvalid, parse_training_config

MISSION_YAML = """
train_data_dir: ./data/style_train
metadata_path: ./data/style_train/metadata.csv
base_model: ./models/Stable-diffusion/v1-5-pruned.safetensors
lora_rank: 8
batch_size: 4
epochs: 10
learning_rate: 2e-4
output_dir: ./output/my_style_lora
save_steps: 100
"""


def problems_of(**keys):
    with pytest.raises(ConfigInvalid) as caught:
        parse_training_config({"base_model": "m", **keys})
    return caught.value.problems


def test_the_yaml_that_people_write_is_understood():
    config = parse_training_config(yaml.safe_load(MISSION_YAML))
    assert (config.lora_rank, config.batch_size, config.epochs, config.save_steps) == (8, 4, 10, 100)
    assert config.learning_rate == 0.0002  # PyYAML reads 2e-4 as text
    assert config.output_dir == "./output/my_style_lora"


def test_the_defaults_are_the_usual_values():
    config = parse_training_config({"base_model": "m"})
    assert (config.lora_rank, config.lora_alpha, config.lora_dropout) == (8, 16, 0.0)
    assert config.target_modules is None


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("lora_rank", 0),
        ("lora_rank", 1025),
        ("lora_rank", 2.5),
        ("lora_alpha", 0),
        ("lora_dropout", 1.0),
        ("lora_dropout", -0.1),
        ("lora_dropout", float("nan")),
        ("learning_rate", 0),
        ("learning_rate", float("nan")),
        ("learning_rate", "fast"),
        ("batch_size", 0),
        ("epochs", 0),
        ("save_steps", 0),
        ("max_length", 7),
        ("seed", -1),
        ("target_modules", []),
        ("lr_scheduler", "wave"),
    ],
)
def test_a_value_out_of_range_is_refused_by_its_key(key, value):
    assert [problem.field for problem in problems_of(**{key: value})] == [key]


@pytest.mark.parametrize("raw", [{}, {"base_model": ""}, {"base_model": None}])
def test_a_base_model_is_required(raw):
    with pytest.raises(ConfigInvalid) as caught:
        parse_training_config(raw)
    assert [problem.field for problem in caught.value.problems] == ["base_model"]


def test_a_metadata_path_needs_its_folder():
    [problem] = problems_of(metadata_path="./metadata.csv")
    assert "train_data_dir" in problem.message


def test_a_configuration_comes_back_the_same_from_its_json():
    config = parse_training_config({"base_model": "m", "target_modules": ["q_proj"], "lora_dropout": 0.1})
    assert TrainingConfig.model_validate_json(config.model_dump_json()) == config

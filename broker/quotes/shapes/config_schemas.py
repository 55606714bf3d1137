"""API shape of the training configuration in quotes and jobs."""

from typing import Annotated, Any

from pydantic import Field, WithJsonSchema

from pricing.training.config import JOB_PATH_KEYS, TrainingConfig

CONFIG_EXAMPLE = {
    "base_model": "smollm2-135m-instruct",
    "lora_rank": 8,
    "lora_alpha": 16,
    "target_modules": ["q_proj", "v_proj"],
    "batch_size": 4,
    "epochs": 2,
    "learning_rate": 2e-4,
    "max_length": 256,
    "save_steps": 10,
}


def describe_config() -> dict[str, Any]:
    """Describe the trainer's own schema without the keys that name paths: a job gets its data by `dataset_id`."""
    schema = TrainingConfig.model_json_schema()
    schema["properties"] = {key: value for key, value in schema["properties"].items() if key not in JOB_PATH_KEYS}
    return {**schema, "examples": [CONFIG_EXAMPLE]}


ConfigIn = Annotated[
    dict[str, Any],
    WithJsonSchema(describe_config()),
    Field(description="The keys of the trainer's YAML file.", examples=[CONFIG_EXAMPLE]),
]

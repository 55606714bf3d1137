"""`trainer schema`: the JSON schema of the YAML file, for editors that complete and check it."""

import json
from typing import Any

from pricing.training.config import TrainingConfig

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def describe_schema() -> dict[str, Any]:
    """Describe every key as JSON schema: description, default, limits and example; unknown keys are wrong."""
    schema = TrainingConfig.model_json_schema()
    return {"$schema": DIALECT, **schema, "title": "LoRA training"}


def format_schema() -> str:
    return json.dumps(describe_schema(), indent=2, ensure_ascii=False)

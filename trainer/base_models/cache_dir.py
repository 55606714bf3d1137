"""Where this machine keeps what took long to make of base models: converted weights, profiles, hashes."""

import os
from pathlib import Path

from trainer.base_models.places import expand


def get_cache_dir() -> Path:
    return expand(os.environ.get("LORA_TRAINER_CACHE") or "~/.cache/lora-broker")

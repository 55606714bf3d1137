"""Where this machine keeps what took long to make of base models: converted weights, profiles, hashes."""

import os
from pathlib import Path


def get_cache_dir() -> Path:
    return Path(os.environ.get("LORA_TRAINER_CACHE") or "~/.cache/lora-broker").expanduser()

"""Profiles that took a training long to measure, on disk: keyed by all that they were measured from."""

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib.metadata import version
from typing import Any

from pricing.catalog.profile import BaseModelProfile
from trainer.atomic_files import writing_file
from trainer.base_models.cache_dir import get_cache_dir
from trainer.errors import CannotWrite

FORMAT = "3"  # changes with how profiles are measured
LIBRARIES = ("torch", "transformers", "diffusers")
WORTH_KEEPING_SECONDS = 1.0


def keep_profile(facts: Mapping[str, Any], measure: Callable[[], BaseModelProfile]) -> BaseModelProfile:
    """Return the profile of these facts, measured where none is kept. Failing to keep it costs only time."""
    versions = [version(library) for library in LIBRARIES]
    key = hashlib.sha256(json.dumps([FORMAT, versions, facts], sort_keys=True, default=str).encode()).hexdigest()
    file = get_cache_dir() / "profiles" / f"{key}.json"
    with suppress(OSError, ValueError):
        return BaseModelProfile.model_validate_json(file.read_bytes())
    start = time.monotonic()
    profile = measure()
    if time.monotonic() - start > WORTH_KEEPING_SECONDS:
        with suppress(OSError, CannotWrite), writing_file(file) as aside:
            aside.write_text(profile.model_dump_json(), encoding="utf-8")
    return profile

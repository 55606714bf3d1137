"""A customer's configuration, checked and with its defaults. Pure."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from broker import errors
from broker.quotes.checking.refusal import refuse_fields
from pricing.catalog.offered import SHIPPED, OfferedModels
from pricing.catalog.profile import BaseModelProfile
from pricing.training.config import JOB_PATH_KEYS, TrainingConfig
from pricing.training.config_parsing import ConfigInvalid
from pricing.training.job_config import parse_job_config

# So many are known at the most, and none that is longer: one of megabytes, all of it zeros behind a number's point, is
# checked each time.
MOST_KNOWN, LONGEST_KNOWN = 512, 4096


@dataclass(frozen=True)
class JobConfiguration:
    """What to train and how, with the profile of the base model that it names."""

    config: TrainingConfig
    profile: BaseModelProfile

    def to_json(self) -> dict[str, Any]:
        """Write the configuration with its defaults, without the keys that only the standalone trainer knows.

        What it starts from is there where it does: one that starts anew is as it always was.
        """
        anew = set() if self.config.init_from is not None else {"init_from"}
        return self.config.model_dump(mode="json", exclude={*JOB_PATH_KEYS, *anew})

    @cached_property
    def hash(self) -> str:
        """The SHA-256 (hex) of what `to_json` writes, and of the files of a base model that was added.

        It is equal however the configuration was written, and another one once a name stands for other files.
        """
        files = {} if self.profile.weights_sha256 is None else {"weights_sha256": self.profile.weights_sha256}
        canonical = json.dumps({**self.to_json(), **files}, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()


def resolve_configuration(raw: Mapping[str, Any], offered: OfferedModels = SHIPPED) -> JobConfiguration:
    """Check a customer's configuration against the base models on offer.

    One that was checked lately is known: a job is submitted with the very configuration that was quoted before.
    Raises: InvalidTrainingConfig, with each wrong key.
    """
    written = json.dumps(raw)
    return (_resolve_known if len(written) <= LONGEST_KNOWN else _resolve_written)(written, offered)


def _resolve_written(written: str, offered: OfferedModels) -> JobConfiguration:
    try:
        config, profile = parse_job_config(json.loads(written), offered)
    except ConfigInvalid as error:
        found = [errors.FieldError(f"config.{problem.field}", problem.message) for problem in error.problems]
        raise refuse_fields(found) from error
    return JobConfiguration(config, profile)


_resolve_known = lru_cache(maxsize=MOST_KNOWN)(_resolve_written)

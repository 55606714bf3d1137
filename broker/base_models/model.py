"""A base model as it is listed: what is known of it, and whether it can be quoted. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pricing.catalog.offered import OfferedModels
from pricing.catalog.profile import BaseModelProfile

Need = Literal["weights", "tokenizer"]
BYTES_PER_GIB = 1024**3


@dataclass(frozen=True)
class ListedModel:
    """A base model. `reason` says why it cannot be quoted; `added_at` is None where no operator added it."""

    profile: BaseModelProfile
    reason: str | None
    added_at: datetime | None

    @property
    def weights_gib(self) -> float:
        """Compute the memory of all weights at 16 bits a number, in GiB."""
        return 2 * (self.profile.parameters + sum(self.profile.component_parameters.values())) / BYTES_PER_GIB

    def list_needs(self) -> list[Need]:
        """List what an operator has to install before a worker can train it."""
        needs: list[Need] = []
        if self.profile.weights is None and self.profile.weights_sha256 is None:
            needs.append("weights")
        if self.profile.tokenizer is None:
            needs.append("tokenizer")
        return needs


def list_models(offered: OfferedModels, added_at: Mapping[str, datetime]) -> list[ListedModel]:
    """List every model that is known, by name."""
    return [
        ListedModel(
            profile,
            None if profile.tokenizer is not None else offered.explain_absence(profile),
            added_at.get(profile.name),
        )
        for profile in offered.list_all()
    ]

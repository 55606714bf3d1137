"""The base models that one installation offers: the catalogue's that ship whole, and those that its operator added."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property

from pricing.catalog import find_base_model, load_base_models
from pricing.catalog.captioners import OfferedCaptioners
from pricing.catalog.model_path import find_named_by_path, is_path
from pricing.catalog.profile import BaseModelProfile
from pricing.catalog.spellings import fold_spelling

PREDICT = "`broker estimator predict` estimates it without a data set"


class ModelNotOffered(LookupError):
    """The base model cannot be quoted here; the message names those that can, and the cure."""


@dataclass(frozen=True, eq=False)
class OfferedModels:
    """What customers may name as `base_model`. `added` are the operator's, by name; they go before the catalogue's.

    `captioners` are those that jobs may label pictures with.
    """

    added: Mapping[str, BaseModelProfile] = field(default_factory=dict)
    captioners: OfferedCaptioners = field(default_factory=OfferedCaptioners)

    @cached_property
    def _added_by_spelling(self) -> dict[str, BaseModelProfile]:
        return {
            fold_spelling(spelling): profile
            for profile in self.added.values()
            for spelling in (*profile.aliases, profile.name)
        }

    def list_all(self) -> list[BaseModelProfile]:
        """List every model that is known, by name: those of the catalogue that nobody can quote here, too."""
        known = {**load_base_models(), **self.added}
        return [known[name] for name in sorted(known)]

    def list_names(self) -> list[str]:
        """List the names that can be quoted."""
        return [profile.name for profile in self.list_all() if profile.tokenizer is not None]

    def find(self, name: str) -> BaseModelProfile | None:
        """Find a model by name or alias, whether it can be quoted or not; None where it is not known."""
        return self._added_by_spelling.get(fold_spelling(name)) or find_base_model(name)

    def get(self, name: str) -> BaseModelProfile:
        """Get a model that can be quoted, by name or alias, however its words are joined. Raises: ModelNotOffered."""
        profile = self.find(name)
        if profile is not None and profile.tokenizer is not None:
            return profile
        if profile is None and is_path(name):
            raise ModelNotOffered(self._answer_path(name))
        if profile is None:
            raise ModelNotOffered(self._answer_unknown(name))
        raise ModelNotOffered(f"{self.explain_absence(profile)}; {self._say_offer()}; {PREDICT}")

    def explain_absence(self, profile: BaseModelProfile) -> str:
        """Explain why a model that is known cannot be quoted, and who does what about it."""
        cure = f"an operator adds them with `broker models add FOLDER --name {profile.name}`"
        return f"{profile.name} is known but not on offer here: its weights and tokenizer are not installed ({cure})"

    def _answer_path(self, path: str) -> str:
        """Answer a path of the customer's machine: by the name under which that model is known, if there is one."""
        named = find_named_by_path(path, self.find)
        if named is None:
            return f"customers name base models, never paths; {self._say_offer()}"
        if named.tokenizer is None:
            return f"customers name base models, never paths; {self.explain_absence(named)}; {self._say_offer()}"
        return f"customers name base models, never paths; send it as `{named.name}`"

    def _answer_unknown(self, name: str) -> str:
        near = get_close_matches(name.casefold(), self.list_names(), n=1, cutoff=0.6)
        hint = f"; did you mean {near[0]}?" if near else ""
        return f"{name!r} is not on offer{hint}; {self._say_offer()}"

    def _say_offer(self) -> str:
        return f"these are on offer: {', '.join(self.list_names())}"


SHIPPED = OfferedModels()

"""What is known of a captioning model without loading it, and which of them one installation offers."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from pricing.catalog import CATALOG
from pricing.catalog.near_names import suggest
from pricing.catalog.spellings import fold_spelling
from pricing.unique_yaml import load_yaml

BYTES_PER_PARAMETER = 4  # the trainer loads them in 32 bit


class UnknownCaptioner(LookupError):
    """The captioning model is not known, or not on offer here; the message says which are."""


class Captioner(BaseModel):
    """A captioning model: its encoder reads `picture_tokens` patches of a picture, its decoder writes the caption.

    `layers` are those that one token, or one picture, passes through.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str
    aliases: tuple[str, ...] = ()
    kind: Literal["blip", "florence2"]
    licence: str
    vision_parameters: int = Field(gt=0)
    text_parameters: int = Field(gt=0)
    picture_tokens: int = Field(gt=0)
    layers: int = Field(gt=0)
    source: str

    @property
    def parameters(self) -> int:
        return self.vision_parameters + self.text_parameters

    @property
    def weights_bytes(self) -> int:
        """Tell how many bytes its weights have in memory."""
        return BYTES_PER_PARAMETER * self.parameters


@cache
def load_captioners() -> dict[str, Captioner]:
    """Load every captioning model that is known, by name."""
    written = load_yaml((CATALOG / "captioners.yaml").read_text(encoding="utf-8"))
    return {each.name: each for each in TypeAdapter(list[Captioner]).validate_python(written)}


def find_captioner(name: str) -> Captioner | None:
    """Find a captioning model by name or alias, however its words are joined; None where none is known."""
    wanted = fold_spelling(name)
    spelt = ((each, spelling) for each in load_captioners().values() for spelling in (each.name, *each.aliases))
    return next((each for each, spelling in spelt if fold_spelling(spelling) == wanted), None)


def get_captioner(name: str) -> Captioner:
    """Get a captioning model by name or alias. Raises: UnknownCaptioner."""
    found = find_captioner(name)
    if found is None:
        known = list(load_captioners())
        raise UnknownCaptioner(
            f"{name!r} is no captioning model that is known; {suggest(name, known)}there are: {', '.join(known)}"
        )
    return found


def split_names(text: str) -> list[str]:
    """Split names that commas separate."""
    return [name for each in text.split(",") if (name := each.strip())]


@dataclass(frozen=True)
class OfferedCaptioners:
    """The captioning models that one installation offers, by their names."""

    names: tuple[str, ...] = ()

    @classmethod
    def of(cls, written: Sequence[str]) -> "OfferedCaptioners":
        """Read what an operator names, by any spelling. Raises: UnknownCaptioner."""
        return cls(tuple(dict.fromkeys(get_captioner(name).name for name in written)))

    def get(self, name: str | None) -> Captioner:
        """Get a model that is on offer, the first where none is named. Raises: UnknownCaptioner."""
        if not self.names:
            raise UnknownCaptioner(
                "no captioning model is on offer here: its operator names some in BROKER_CAPTIONERS, and puts the "
                "folder of each where base models lie"
            )
        found = get_captioner(self.names[0]) if name is None else find_captioner(name)
        if found is None or found.name not in self.names:
            hint = suggest(name or "", self.names)
            raise UnknownCaptioner(f"{name!r} is not on offer here; {hint}there are: {', '.join(self.names)}")
        return found

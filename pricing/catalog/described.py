"""What the trainer finds in a model's folder for the broker, which never opens one itself."""

from pydantic import BaseModel, ConfigDict, Field

from pricing.catalog.profile import BaseModelProfile


class ModelDescription(BaseModel):
    """A folder (or file) with a base model, described by `trainer profile --for-broker`.

    `profile` has the hash of the files in it. `tokenizer` is a `tokenizer.json` as text; None where the profile names
    one of the catalogue. `files` are the paths inside the folder that the hash covers; of a single file its own name.
    Units: bytes.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    profile: BaseModelProfile
    tokenizer: str | None = None
    files: tuple[str, ...] = Field(min_length=1)
    size_bytes: int = Field(ge=0)

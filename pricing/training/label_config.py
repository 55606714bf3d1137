"""The configuration of a job that labels pictures: `kind: auto_label`, and how."""

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from pricing.catalog.near_names import suggest
from pricing.datasets.caption_words import CaptionConflict, CaptionForm, CaptionScope, LabelStyle, make_style
from pricing.field_problem import FieldProblem
from pricing.number_fields import find_odd_values
from pricing.training.config_parsing import MOST_TOLD, ConfigInvalid

KIND = "kind"
KINDS = TRAINING, AUTO_LABEL, CHECK = "training", "auto_label", "check"
MOST_PICTURES_NAMED = 20_000
LONGEST_NAME = 1024
# So long a caption may be, whoever writes it: four times what the longest text encoder reads.
LONGEST_CAPTION = 2000
ONE_LINE = r"^[^\r\n\x00]*$"


class LabelConfig(BaseModel):
    """Which pictures are labelled, by what, and how a caption is written."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["auto_label"] = Field(description="What the job does: it labels pictures.", examples=["auto_label"])
    base_model: str | None = Field(
        default=None,
        min_length=1,
        max_length=200,
        description="The captioning model; default: the first that is on offer.",
        examples=["blip-base"],
    )
    scope: CaptionScope = Field(
        default=CaptionScope.MISSING,
        description="Which pictures: those without a caption, all, or those named in `pictures`.",
        examples=["missing"],
    )
    pictures: tuple[str, ...] = Field(
        default=(),
        max_length=MOST_PICTURES_NAMED,
        description="The pictures of scope `selected`, by their names in the data set.",
        examples=[["kettle.png"]],
    )
    conflict: CaptionConflict = Field(
        default=CaptionConflict.IGNORE,
        description="Where a picture has a caption: ignore leaves it alone (and makes none), replace writes over it, "
        "prepend puts the new one before it.",
        examples=["prepend"],
    )
    form: CaptionForm = Field(
        default=CaptionForm.TAGS,
        description="tags: commas separate them, each comes once; sentences: as the model says them.",
        examples=["sentences"],
    )
    trigger: str = Field(
        default="",
        max_length=100,
        pattern=ONE_LINE,
        description="The trigger word: every caption that is made begins with it.",
        examples=["slwfry"],
    )
    prefix: str = Field(
        default="",
        max_length=200,
        pattern=ONE_LINE,
        description="What stands between the trigger word and what the model says.",
        examples=["a photo of"],
    )
    drop_tags: tuple[str, ...] = Field(
        default=(), max_length=200, description="Tags that are left out of captions.", examples=[["watermark"]]
    )
    max_tokens: int = Field(
        default=48,
        ge=1,
        le=256,
        description="Most tokens that are generated for one picture; those that are are billed.",
        examples=[48],
    )
    batch_size: int = Field(default=4, ge=1, le=64, description="Pictures that are labelled at once.", examples=[4])
    save_steps: int = Field(
        default=50, ge=1, le=10_000, description="Captions are safe after so many pictures at most.", examples=[50]
    )

    @model_validator(mode="after")
    def _check_scope(self) -> Self:
        if (self.scope is CaptionScope.SELECTED) != bool(self.pictures):
            raise ValueError("pictures and scope: selected go together; send both, or neither")
        if any(not name or len(name) > LONGEST_NAME for name in self.pictures):
            raise ValueError(f"pictures: each name has 1 to {LONGEST_NAME} characters")
        return self

    @property
    def style(self) -> LabelStyle:
        return make_style(self.trigger, self.prefix, self.drop_tags, self.form)

    def takes(self, name: str, caption: str) -> bool:
        """Tell whether a picture is labelled: one in the scope whose caption, if it has one, may change."""
        if self.scope is CaptionScope.MISSING:
            return not caption
        if caption and self.conflict is CaptionConflict.IGNORE:
            return False
        return self.scope is CaptionScope.ALL or name in self.pictures


def is_label_config(raw: Mapping[str, Any]) -> bool:
    """Tell whether a configuration is of a job that labels pictures."""
    return raw.get(KIND) == AUTO_LABEL


def parse_label_config(raw: Mapping[str, Any]) -> LabelConfig:
    """Validate a mapping read from YAML or JSON. Raises: ConfigInvalid, with each wrong key and its cure."""
    odd = find_odd_values(LabelConfig, raw)
    problems = [FieldProblem(name, f"{words} (got {raw[name]!r})") for name, words in odd.items()]
    try:
        config = LabelConfig.model_validate({name: value for name, value in raw.items() if name not in odd})
    except ValidationError as error:
        told = [_describe(dict(detail)) for detail in error.errors()[:MOST_TOLD]]
        raise ConfigInvalid(problems + told) from error
    if problems:
        raise ConfigInvalid(problems)
    return config


def _describe(detail: dict[str, Any]) -> FieldProblem:
    field = ".".join(str(part) for part in detail["loc"]) or "config"
    known = list(LabelConfig.model_fields)
    if detail["type"] == "extra_forbidden":
        hint = suggest(field, known)
        return FieldProblem(field, f"is no key of a job that labels pictures; {hint}there are: {', '.join(known)}")
    if detail["type"] == "value_error":
        return FieldProblem("pictures" if field == "config" else field, str(detail["ctx"]["error"]))
    return FieldProblem(field, f"{detail['msg']} (got {detail['input']!r})")

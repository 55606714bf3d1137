"""The configuration of a job that checks a data set: `kind: check`."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pricing.catalog.near_names import suggest
from pricing.field_problem import FieldProblem
from pricing.training.config_parsing import MOST_TOLD, ConfigInvalid
from pricing.training.label_config import CHECK, KIND, LONGEST_CAPTION


class CheckConfig(BaseModel):
    """What data are checked for: text is read row by row, pictures are opened, with the captions they train with."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["check"] = Field(description="What the job does: it checks a data set.", examples=["check"])
    base_model: Literal["check"] | None = Field(
        default=None, description="None is needed; `check` as a quote writes it.", examples=["check"]
    )
    default_caption: str | None = Field(
        default=None,
        min_length=1,
        max_length=LONGEST_CAPTION,
        description="The caption that pictures without one will train with.",
        examples=["a photo of slwfry"],
    )


def is_check_config(raw: Mapping[str, Any]) -> bool:
    """Tell whether a configuration is of a job that checks a data set."""
    return raw.get(KIND) == CHECK


def parse_check_config(raw: Mapping[str, Any]) -> CheckConfig:
    """Validate a mapping read from YAML or JSON. Raises: ConfigInvalid, with each wrong key and its cure."""
    try:
        return CheckConfig.model_validate(dict(raw))
    except ValidationError as error:
        raise ConfigInvalid([_describe(dict(detail)) for detail in error.errors()[:MOST_TOLD]]) from error


def _describe(detail: dict[str, Any]) -> FieldProblem:
    field = ".".join(str(part) for part in detail["loc"]) or "config"
    if detail["type"] == "extra_forbidden":
        known = list(CheckConfig.model_fields)
        return FieldProblem(
            field, f"is no key of a job that checks data; {suggest(field, known)}there are: {', '.join(known)}"
        )
    return FieldProblem(field, f"{detail['msg']} (got {detail['input']!r})")

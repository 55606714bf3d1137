"""API shapes of templates."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, Field, model_validator

from broker.http.plain_text import PlainLine
from broker.http.shapes import RequestBody, created_at_field
from broker.templates.model import ID_PREFIX, Bounds
from broker.templates.service import Content
from broker.templates.tables import Template, TemplateVersion

CONFIG_EXAMPLE = {"base_model": "sd-v1-5", "lora_rank": 8, "resolution": 512, "epochs": 10}
MAY_CHANGE_EXAMPLE = {"lora_rank": {"one_of": [4, 8, 16]}, "epochs": {"at_least": 1, "at_most": 20}}
MOST_CHOICES, MOST_KEYS, LARGEST = 50, 100, 10**12
Number = Annotated[int, Field(ge=0, le=LARGEST)] | Annotated[float, Field(ge=0, le=LARGEST)]


def _refuse_id(name: str) -> str:
    if name.startswith(ID_PREFIX):
        raise ValueError(f"must not begin with {ID_PREFIX}, as ids do")
    return name


Name = Annotated[
    PlainLine,
    AfterValidator(_refuse_id),
    Field(
        min_length=1,
        max_length=64,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$",
        description="Letters, digits, `_`, `-` and `.`; given once in its project.",
        examples=["template_sd_v15"],
    ),
]
# As an order names one: by its name or id, with @ and a version.
TemplateName = Annotated[PlainLine, Field(min_length=1, max_length=80)]
Note = Annotated[PlainLine, Field(max_length=500)]


class BoundsIn(RequestBody):
    """What a job may put in place of a value; where nothing is said, whatever the trainer takes."""

    at_least: Number | None = Field(default=None, description="The smallest number.", examples=[1])
    at_most: Number | None = Field(default=None, description="The largest number.", examples=[20])
    one_of: list[Any] | None = Field(
        default=None, min_length=1, max_length=MOST_CHOICES, description="Its only values.", examples=[[4, 8, 16]]
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.one_of is not None and (self.at_least is not None or self.at_most is not None):
            raise ValueError("one_of stands by itself: leave out at_least and at_most")
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            raise ValueError("at_least must not be above at_most")
        return self


class VersionIn(RequestBody):
    config: dict[str, Any] = Field(
        description="The keys of the trainer's YAML file, as a job would send them.", examples=[CONFIG_EXAMPLE]
    )
    may_change: dict[str, BoundsIn] = Field(
        default_factory=dict,
        max_length=MOST_KEYS,
        description="The keys that a job may change, each with its bounds; default: none.",
        examples=[MAY_CHANGE_EXAMPLE],
    )
    note: Note | None = Field(default=None, description="What is new in it.", examples=["longer captions"])

    def read_content(self) -> Content:
        bounds = {key: Bounds(**each.model_dump()) for key, each in self.may_change.items()}
        return Content(self.config, bounds, self.note)


class TemplateIn(VersionIn):
    project_id: str = Field(description="The project that it is of.", examples=["prj_01k"])
    name: Name


class TemplatePatch(RequestBody):
    archived: bool = Field(description="Whether it is out of use: no new job is made from it.", examples=[True])


class TemplateVersionOut(BaseModel):
    object: Literal["template_version"] = Field(
        default="template_version", description="Kind of object.", examples=["template_version"]
    )
    template_id: str = Field(description="Whose version it is.", examples=["tpl_01k"])
    version: int = Field(description="Counts up from 1.", examples=[3])
    config: dict[str, Any] = Field(description="What its jobs are made of.", examples=[CONFIG_EXAMPLE])
    may_change: dict[str, dict[str, Any]] = Field(
        description="The keys that a job may change, each with its bounds.", examples=[MAY_CHANGE_EXAMPLE]
    )
    note: str | None = Field(description="What is new in it.", examples=["longer captions"])
    made_by: str = Field(description="The API key that made it.", examples=["key_01k"])
    created_at: datetime = created_at_field()

    @classmethod
    def of(cls, row: TemplateVersion) -> Self:
        own = {name: getattr(row, name) for name in cls.model_fields if name not in {"object", "may_change"}}
        return cls(**own, may_change={key: bounds.to_json() for key, bounds in row.may_change.items()})


class TemplateOut(BaseModel):
    id: str = Field(description="Template id.", examples=["tpl_01k"])
    object: Literal["template"] = Field(default="template", description="Kind of object.", examples=["template"])
    customer_id: str = Field(description="Whose template it is.", examples=["cus_01k"])
    project_id: str = Field(description="Its project.", examples=["prj_01k"])
    name: str = Field(description="Its name in the project.", examples=["template_sd_v15"])
    newest: TemplateVersionOut = Field(description="Its newest version.", examples=[{"version": 3}])
    archived_at: datetime | None = Field(
        description="Since when it is out of use (UTC); null: it is in use.", examples=[None]
    )
    created_at: datetime = created_at_field()

    @classmethod
    def of(cls, row: Template, newest: TemplateVersion) -> Self:
        own = {name: getattr(row, name) for name in cls.model_fields if name not in {"object", "newest"}}
        return cls(**own, newest=TemplateVersionOut.of(newest))

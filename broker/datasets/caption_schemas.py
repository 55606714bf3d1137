"""API shapes of the captions of a data set's pictures, and of edits of them."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import BaseModel, Field, model_validator

from broker.datasets.caption_edits import CaptionEdit
from broker.datasets.schemas import DatasetOut
from broker.http.plain_text import PlainLine
from broker.http.shapes import RequestBody
from pricing.datasets.caption_words import CaptionConflict, CaptionForm, CaptionScope
from pricing.datasets.picture_listing import ListedPicture
from pricing.training.label_config import LONGEST_CAPTION, LONGEST_NAME, MOST_PICTURES_NAMED

MOST_TAGS = 200
SHOWN = 20

Name = Annotated[str, Field(min_length=1, max_length=LONGEST_NAME)]
Tag = Annotated[PlainLine, Field(min_length=1, max_length=200)]
Caption = Annotated[PlainLine, Field(max_length=LONGEST_CAPTION)]


class PictureOut(BaseModel):
    number: int = Field(description="Its place among the pictures of the data set, from 0.", examples=[0])
    name: str = Field(description="Path inside the data set.", examples=["kettle.png"])
    caption: str = Field(description="Its own caption; empty: it has none.", examples=["slwfry, a red kettle"])
    caption_file: str | None = Field(
        description="The file that the caption stands in; null: there is none.", examples=["metadata.csv"]
    )

    @classmethod
    def of(cls, number: int, picture: ListedPicture) -> Self:
        return cls(number=number, name=picture.name, caption=picture.caption, caption_file=picture.caption_file or None)


class CaptionEditIn(RequestBody):
    """What becomes of captions: of one picture, of some, or of all."""

    scope: CaptionScope = Field(
        default=CaptionScope.ALL,
        description="Which pictures: all, those without a caption, or those named in `pictures`.",
        examples=["all"],
    )
    pictures: list[Name] = Field(
        default_factory=list,
        max_length=MOST_PICTURES_NAMED,
        description="The pictures of scope `selected`, by their names.",
        examples=[["kettle.png"]],
    )
    caption: Caption | None = Field(
        default=None, description="The caption that each of them gets.", examples=["a red kettle on a table"]
    )
    captions: dict[Name, Caption] = Field(
        default_factory=dict,
        max_length=MOST_PICTURES_NAMED,
        description="A caption for each picture by its name, in place of `scope` and `caption`; empty: none.",
        examples=[{"kettle.png": "a red kettle", "lamp.png": "an oak lamp"}],
    )
    conflict: CaptionConflict = Field(
        default=CaptionConflict.REPLACE,
        description="Where a picture has a caption: replace writes over it, prepend puts the new words before it, "
        "ignore leaves it alone.",
        examples=["prepend"],
    )
    form: CaptionForm = Field(
        default=CaptionForm.TAGS,
        description="tags: commas separate them, each comes once; sentences: as they are written.",
        examples=["tags"],
    )
    trigger: PlainLine = Field(
        default="", max_length=100, description="The trigger word, put first, once.", examples=["slwfry"]
    )
    add_tags: list[Tag] = Field(
        default_factory=list, max_length=MOST_TAGS, description="Tags that are put in.", examples=[["studio light"]]
    )
    remove_tags: list[Tag] = Field(
        default_factory=list, max_length=MOST_TAGS, description="Tags that are taken out.", examples=[["watermark"]]
    )
    dry_run: bool = Field(default=False, description="Only tell what would change.", examples=[True])

    @model_validator(mode="after")
    def _check_what_changes(self) -> Self:
        has_words = self.caption is not None or bool(self.captions)
        has_tags = bool(self.add_tags or self.remove_tags)
        if not (has_words or has_tags or self.trigger):
            raise ValueError("names nothing to change: send caption, captions, add_tags, remove_tags or trigger")
        if has_words and has_tags:
            raise ValueError("add_tags and remove_tags change what is there; send them without caption and captions")
        if self.caption is not None and self.captions:
            raise ValueError("send caption, for all in the scope, or captions, by name")
        if has_tags and self.form is CaptionForm.SENTENCES:
            raise ValueError("sentences have no tags; leave add_tags and remove_tags out, or send form: tags")
        if not self.captions and (self.scope is CaptionScope.SELECTED) != bool(self.pictures):
            raise ValueError("pictures and scope: selected go together; send both, or neither")
        return self

    def read_edit(self) -> CaptionEdit:
        own = self.model_dump(exclude={"dry_run"})
        return CaptionEdit(**own)


class ChangedCaptionOut(BaseModel):
    name: str = Field(description="The picture.", examples=["kettle.png"])
    before: str = Field(description="Its caption before; empty: it had none.", examples=["a kettle"])
    after: str = Field(description="Its caption then; empty: it has none.", examples=["slwfry, a kettle"])


class CaptionEditOut(BaseModel):
    object: Literal["caption_edit"] = Field(
        default="caption_edit", description="Kind of object.", examples=["caption_edit"]
    )
    changed: int = Field(description="Captions that change.", examples=[48])
    first: list[ChangedCaptionOut] = Field(
        description="The first twenty of them.", examples=[[{"name": "kettle.png", "before": "", "after": "a kettle"}]]
    )
    dataset: DatasetOut | None = Field(
        description="The data set with the new captions, which is a version of its own; null: it was asked only what "
        "would change.",
        examples=[{"id": "dat_01k", "version": 2}],
    )

    @classmethod
    def of(cls, before: Mapping[str, str], captions: Mapping[str, str], dataset: DatasetOut | None) -> Self:
        first = [
            ChangedCaptionOut(name=name, before=before[name], after=caption)
            for name, caption in list(captions.items())[:SHOWN]
        ]
        return cls(changed=len(captions), first=first, dataset=dataset)

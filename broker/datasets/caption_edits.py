"""Edits of many captions at once: which pictures are meant, and what each caption becomes. Pure."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from broker import errors
from pricing.datasets.caption_words import (
    CaptionConflict,
    CaptionForm,
    CaptionScope,
    LabelStyle,
    compose_caption,
    join_tags,
    settle_caption,
)
from pricing.datasets.picture_listing import ListedPicture
from pricing.training.label_config import LONGEST_CAPTION


@dataclass(frozen=True)
class CaptionEdit:
    """An edit. `caption` is what every picture in the scope gets, `captions` what each by its name; with neither, what
    is there stays, with tags added and removed and the trigger word put first.
    """

    scope: CaptionScope = CaptionScope.ALL
    pictures: Collection[str] = ()
    caption: str | None = None
    captions: Mapping[str, str] = field(default_factory=dict)
    conflict: CaptionConflict = CaptionConflict.REPLACE
    form: CaptionForm = CaptionForm.TAGS
    trigger: str = ""
    add_tags: Sequence[str] = ()
    remove_tags: Collection[str] = ()

    @property
    def style(self) -> LabelStyle:
        return LabelStyle(trigger=self.trigger.strip(), form=self.form)

    def means(self, picture: ListedPicture) -> bool:
        """Tell whether a picture is in the scope."""
        if self.captions:
            return picture.name in self.captions
        if self.scope is CaptionScope.SELECTED:
            return picture.name in self.pictures
        return self.scope is CaptionScope.ALL or not picture.caption

    def change(self, picture: ListedPicture) -> str:
        """Tell what the caption of a picture in the scope becomes."""
        given = self.captions.get(picture.name, self.caption)
        before = picture.caption
        if given is not None:
            composed = compose_caption(" ".join(given.split()), self.style)
            return settle_caption(before, composed, self.conflict, self.style)
        if before and self.conflict is CaptionConflict.IGNORE:
            return before
        return self._retag(before) if self.form is CaptionForm.TAGS else compose_caption(before, self.style)

    def _retag(self, before: str) -> str:
        """Put tags in and take tags out: new ones come last, or first where the edit says so."""
        parts = [before, *self.add_tags]
        if self.conflict is CaptionConflict.PREPEND:
            parts = [*self.add_tags, before]
        removed = {tag.strip().casefold() for tag in self.remove_tags}
        return compose_caption(", ".join(join_tags(parts, without=removed)), self.style)


def plan_edit(pictures: Sequence[ListedPicture], edit: CaptionEdit) -> dict[str, str]:
    """Plan an edit: the captions that change, by the names of their pictures.

    Raises: InvalidRequest, for a picture that is not there, and a caption that comes to be too long.
    """
    known = {each.name for each in pictures}
    for field_name, names in (("pictures", edit.pictures), ("captions", edit.captions)):
        strange = next((name for name in names if name not in known), None)
        if strange is not None:
            raise errors.invalid_field(field_name, f"{strange} is no picture of this data set")
    changed = {each.name: edit.change(each) for each in pictures if edit.means(each)}
    before = {each.name: each.caption for each in pictures}
    for name, caption in changed.items():
        if len(caption) > LONGEST_CAPTION:
            told = f"{name} would have {len(caption)} characters, and a caption has {LONGEST_CAPTION} at most"
            raise errors.invalid_field("captions" if edit.captions else "caption", told)
    return {name: caption for name, caption in changed.items() if caption != before[name]}

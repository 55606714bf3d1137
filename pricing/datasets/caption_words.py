"""How a caption is put together of words, a trigger and what was there: in tags, or in a sentence. Pure."""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

TAG_ENDS = ".。 "
UNDERSCORE_FACES = frozenset({"0_0", "(o)_(o)", "+_+", "+_-", "._.", "<o>_<o>", "<|>_<|>", "=_=", ">_<", "3_3", "6_9",
                              ">_o", "@_@", "^_^", "o_o", "u_u", "x_x", "|_|", "||_||"})  # fmt: skip


class CaptionForm(StrEnum):
    """What a caption is: tags that commas separate, each once; or sentences, whose commas are part of them."""

    TAGS = "tags"
    SENTENCES = "sentences"


class CaptionScope(StrEnum):
    """Which pictures captions are for: those without one, all, or those that are named."""

    MISSING = "missing"
    ALL = "all"
    SELECTED = "selected"


class CaptionConflict(StrEnum):
    """What becomes of a caption that is there: it stays alone, it goes, or it stands behind the new one."""

    IGNORE = "ignore"
    REPLACE = "replace"
    PREPEND = "prepend"


@dataclass(frozen=True)
class LabelStyle:
    """What stands around the words of the model: `trigger, prefix words`; tags that are dropped from them."""

    trigger: str = ""
    prefix: str = ""
    drop: frozenset[str] = frozenset()
    form: CaptionForm = CaptionForm.TAGS


def make_style(trigger: str, prefix: str, drop: Collection[str], form: CaptionForm = CaptionForm.TAGS) -> LabelStyle:
    """Make the style of all captions; the case of the tags in `drop` does not count."""
    dropped = frozenset(clean_tag(tag).casefold() for tag in drop if tag.strip())
    return LabelStyle(trigger.strip(), prefix.strip(), dropped, form)


def compose_caption(words: str, style: LabelStyle) -> str:
    """Compose `trigger, prefix words`. Of tags each is tidied, doubled and dropped ones fall out."""
    said = f"{style.prefix} {words}"
    if style.form is CaptionForm.SENTENCES:
        sentence = _take_off_trigger(" ".join(said.split()), style.trigger)
        return ", ".join(part for part in (style.trigger, sentence) if part)
    kept = join_tags([said], without={style.trigger.casefold(), *style.drop})
    return ", ".join([style.trigger] * bool(style.trigger) + kept)


def join_tags(captions: Collection[str], *, without: Collection[str] = ()) -> list[str]:
    """List the tags of captions one after the other, tidied and each once, but for some (in small letters)."""
    tags: dict[str, str] = {}
    for part in ",".join(captions).split(","):
        tag = clean_tag(part)
        if tag and tag.casefold() not in without:
            tags.setdefault(tag.casefold(), tag)
    return list(tags.values())


def settle_caption(before: str, new: str, conflict: CaptionConflict, style: LabelStyle) -> str:
    """Settle what a picture's caption is now: `new` is composed in this style, `before` is what it had ("": none)."""
    if not before or conflict is CaptionConflict.REPLACE:
        return new
    if conflict is CaptionConflict.IGNORE or not new:
        return before
    if style.form is CaptionForm.TAGS:
        return ", ".join(join_tags([new, before]))
    rest = _take_off_trigger(before, style.trigger)
    return new if rest in new else f"{new.rstrip()} {rest}"


def _take_off_trigger(caption: str, trigger: str) -> str:
    """Take the trigger off the beginning of a caption, where it stands before a comma or alone."""
    begins, comma, rest = caption.partition(",")
    if trigger and begins.strip().casefold() == trigger.casefold():
        return rest.strip() if comma else ""
    return caption


def clean_tag(tag: str) -> str:
    """Turn underscores into spaces, but in faces such as ^_^; doubled blanks and a full stop at the end go."""
    for face in (tag.strip(), tag.strip().rstrip(TAG_ENDS)):
        if face in UNDERSCORE_FACES:
            return face
    return " ".join(tag.replace("_", " ").split()).rstrip(TAG_ENDS)

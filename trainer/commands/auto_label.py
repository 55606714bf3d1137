"""The body of `trainer auto-label`: label what has no caption, batch by batch, write it, and count the tokens."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from PIL import Image
from rich.console import Console

from pricing.datasets.caption_words import LabelStyle, compose_caption
from pricing.datasets.caption_words import make_style as make_label_style
from trainer.atomic_files import try_writing
from trainer.data.images import ImageUnusable, open_image
from trainer.data.quality_samples import PictureSample, list_pictures
from trainer.errors import BadInput, ExitCode
from trainer.labelling.captions import (
    caption_from_name,
    choose_pictures,
    get_metadata_file,
    write_metadata,
    write_sidecars,
)
from trainer.labelling.words import Labeller


class CaptionPlace(StrEnum):
    METADATA = "metadata"
    SIDECAR = "sidecar"


@dataclass(frozen=True)
class LabelSource:
    """Where the words come from: exactly one of a captioning model's folder, a WD14 file, the files' names."""

    model: Path | None = None
    wd14: Path | None = None
    tags: Path | None = None
    from_filename: bool = False
    threshold: float = 0.35
    max_new_tokens: int = 64
    batch_size: int = 4

    def check(self) -> None:
        """Check that exactly one source of words is named. Raises: BadInput."""
        if (self.model is not None) + (self.wd14 is not None) + self.from_filename != 1:
            raise BadInput("auto-label", "say where the words come from: one of --model, --wd14, --from-filename")


def make_style(trigger: str, prefix: str, drop: str) -> LabelStyle:
    """Make the style of all captions. `drop` separates its tags by commas; their case does not count."""
    return make_label_style(trigger, prefix, drop.split(","))


def parse_place(word: str) -> CaptionPlace:
    """Parse the value of `--write`. Raises: BadInput."""
    try:
        return CaptionPlace(word)
    except ValueError as error:
        raise BadInput("--write", f"{word!r} is neither {' nor '.join(CaptionPlace)}") from error


def run_auto_label(
    folder: Path,
    source: LabelSource,
    style: LabelStyle,
    console: Console,
    *,
    place: CaptionPlace = CaptionPlace.METADATA,
    overwrite: bool = False,
) -> ExitCode:
    """Label the pictures of a folder. Raises: BadInput.

    Captions are written after each batch, so what is done stays done.
    """
    source.check()
    try_writing(folder, "folder of pictures")
    chosen = choose_pictures(folder, None, overwrite=overwrite)
    total = len(list_pictures(folder).samples)
    console.print(f"{folder}: {total} pictures, {len(chosen)} to label")
    metadata = get_metadata_file(folder) if place is CaptionPlace.METADATA else None
    labelled = tokens = 0
    for captions, spent in _label(chosen, source, style, console) if chosen else ():
        tokens += spent
        labelled += len(captions)
        if metadata is None:
            write_sidecars(captions, folder)
        else:
            write_metadata(captions, list_pictures(folder).samples, metadata)
    console.print(f"labelled: {labelled}; left as they were: {total - labelled}; generated tokens: {tokens}")
    return ExitCode.SUCCEEDED


Batch = tuple[dict[str, str], int]


def _label(
    samples: Sequence[PictureSample], source: LabelSource, style: LabelStyle, console: Console
) -> Iterator[Batch]:
    """Yield, batch by batch, captions by the pictures' names, and the tokens generated for them."""
    if source.from_filename:
        captions = {sample.name: compose_caption(caption_from_name(sample.name), style) for sample in samples}
        for name in [name for name, caption in captions.items() if not caption_from_name(name)]:
            console.print(f"{name}: the name has no words; not labelled")
            del captions[name]
        yield captions, 0
        return
    labeller = _load(source)
    for start in range(0, len(samples), source.batch_size):
        batch = list(_open_all(samples[start : start + source.batch_size], console))
        if not batch:
            continue
        labels = labeller.label([picture for _, picture in batch])
        captions = {}
        for (sample, _), label in zip(batch, labels, strict=True):
            captions[sample.name] = compose_caption(label.words, style)
            console.print(f"{sample.name}: {captions[sample.name]}")
        yield captions, sum(label.tokens for label in labels)


def _open_all(samples: Sequence[PictureSample], console: Console) -> Iterator[tuple[PictureSample, Image.Image]]:
    for sample in samples:
        try:
            yield sample, open_image(sample.path)
        except ImageUnusable as error:
            console.print(f"{sample.name}: {error}; not labelled")


def _load(source: LabelSource) -> Labeller:
    if source.wd14 is not None:
        from trainer.labelling.tagger import Wd14Tagger  # noqa: PLC0415

        return Wd14Tagger.load(source.wd14, source.tags, threshold=source.threshold)
    from trainer.labelling.captioner import FolderCaptioner  # noqa: PLC0415 - torch

    assert source.model is not None
    return FolderCaptioner.load(source.model, max_new_tokens=source.max_new_tokens)

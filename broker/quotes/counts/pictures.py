"""Counting a data set of pictures: the caption tokens that the text encoder reads, without torch."""

import json
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass

from broker.datasets.pictures import ParsedPictures
from broker.quotes.checking.refusal import name_tolerance, refuse_config
from broker.quotes.counts.text import measure_captions
from pricing.catalog.profile import BaseModelProfile
from pricing.datasets.picture_captions import read_kohya_folder
from pricing.training.config import TrainingConfig
from pricing.training.image_workload import TrainingPicture, plan_image_workload
from pricing.training.workload import Workload

MAX_EPOCH_PICTURES = 500_000
SHOWN = 20


@dataclass(frozen=True)
class CountedPicture:
    """A picture and all tokens of its own caption, and of its kohya folder's name; None where it has none."""

    name: str
    source: str
    size: tuple[int, int]
    repeats: int
    own_tokens: int | None
    folder_tokens: int | None


@dataclass(frozen=True)
class CountedPictures:
    """A counted data set. `unusable` says of the first files and metadata rows that cannot be used where they are and
    why; `unusable_count` counts all.
    """

    pictures: tuple[CountedPicture, ...]
    unusable: tuple[str, ...]
    unusable_count: int

    def __len__(self) -> int:
        return len(self.pictures)

    @property
    def size_bytes(self) -> int:
        """Tell about how much memory they take."""
        return 512 + sum(400 + 2 * len(picture.name) for picture in self.pictures) + sum(map(len, self.unusable))

    def count_bare(self, default_caption: str | None) -> int:
        """Count the pictures that no caption is left for."""
        if default_caption:
            return 0
        return sum(picture.own_tokens is None and picture.folder_tokens is None for picture in self.pictures)

    def count_cut(self, default_caption: str | None, profile: BaseModelProfile) -> int:
        """Count the captions that are longer than the text encoder reads."""
        default = measure_captions([default_caption], profile)[0] if default_caption else None
        chosen = (_choose_tokens(picture, default) for picture in self.pictures)
        return sum(tokens is not None and tokens > profile.context_length for tokens in chosen)

    def pack(self) -> bytes:
        """Write the count as it is kept."""
        written = [[astuple(picture) for picture in self.pictures], self.unusable, self.unusable_count]
        return zlib.compress(json.dumps(written, separators=(",", ":")).encode(), 1)


def unpack_pictures(parts: Iterable[bytes]) -> CountedPictures:
    """Read a count that was packed, of one part."""
    (part,) = parts
    pictures, unusable, unusable_count = json.loads(zlib.decompress(part))
    counted = (CountedPicture(name, source, tuple(size), *numbers) for name, source, size, *numbers in pictures)
    return CountedPictures(tuple(counted), tuple(unusable), unusable_count)


def count_pictures(parsed: ParsedPictures, profile: BaseModelProfile) -> CountedPictures:
    """Count the tokens of captions, and of folder names, as the trainer encodes them."""
    folders = [read_kohya_folder(picture.name) for picture in parsed.pictures]
    own = measure_captions([picture.caption for picture in parsed.pictures], profile)
    named = measure_captions([folder.name if folder else "" for folder in folders], profile)
    pictures = tuple(
        CountedPicture(
            name=picture.name,
            source=picture.sha256,
            size=picture.size,
            repeats=folder.repeats if folder else 1,
            own_tokens=own_tokens if picture.caption else None,
            folder_tokens=folder_tokens if folder else None,
        )
        for picture, folder, own_tokens, folder_tokens in zip(parsed.pictures, folders, own, named, strict=True)
    )
    unusable = tuple(f"{each.place}: {each.message}" for each in parsed.unusable[:SHOWN])
    return CountedPictures(pictures, unusable, len(parsed.unusable))


def plan_counted_pictures(counted: CountedPictures, profile: BaseModelProfile, config: TrainingConfig) -> Workload:
    """Plan the work that the trainer will do on the pictures. Raises: InvalidTrainingConfig, where it would refuse."""
    pictures = choose_captioned(counted, profile, config)
    epoch = sum(picture.repeats for picture in pictures)
    if epoch > MAX_EPOCH_PICTURES:
        message = f"an epoch has {epoch} pictures, repeats counted; at most {MAX_EPOCH_PICTURES} can be trained on"
        raise refuse_config("epochs", f"{message}; send the data set anew with fewer repeats, and raise epochs")
    assert profile.resolution is not None, "a model that is quoted on pictures has a resolution"
    return plan_image_workload(pictures, config, resolution=profile.resolution)


def choose_captioned(
    counted: CountedPictures, profile: BaseModelProfile, config: TrainingConfig
) -> list[TrainingPicture]:
    """Choose the caption that each picture trains with: its own, the default, or its folder's name.

    Raises: InvalidTrainingConfig, for what cannot be used, unless the configuration says to leave it out.
    """
    default = measure_captions([config.default_caption], profile)[0] if config.default_caption else None
    chosen, bad, count = [], list(counted.unusable), counted.unusable_count
    for each in counted.pictures:
        tokens = _choose_tokens(each, default)
        if tokens is None:
            bad.append(f"{each.name}: has no caption; set default_caption, or send the data set anew with one")
            count += 1
        else:
            read = min(tokens, profile.context_length)
            chosen.append(TrainingPicture(each.source, each.size, read, each.repeats))
    if bad and not config.tolerates_bad(count, of=len(counted.pictures) + counted.unusable_count):
        field, cure = name_tolerance(config)
        raise refuse_config(field, f"{_list(bad, count)}; {cure} to train without these")
    if not chosen:
        raise refuse_config("default_caption", f"no picture is left to train on: {_list(bad, count)}")
    return chosen


def _choose_tokens(picture: CountedPicture, default: int | None) -> int | None:
    tokens = (picture.own_tokens, default, picture.folder_tokens)
    return next((count for count in tokens if count is not None), None)


def _list(bad: Sequence[str], count: int) -> str:
    return f"{bad[0]}; {count - 1} more cannot be used" if count > 1 else bad[0]

"""The pictures of a folder with their captions and the place of each caption, and what is wrong with the listing."""

from dataclasses import dataclass, field
from pathlib import Path

from pricing.datasets.picture_listing import (
    ListingProblem,
    MetadataFile,
    is_picture_name,
    list_named_pictures,
)


@dataclass(frozen=True)
class PictureSample:
    """A picture, its caption ("" where there is none), and where the caption stands."""

    path: Path
    name: str  # relative to the folder, with /
    caption: str = ""
    caption_file: str = ""
    caption_line: int | None = None


@dataclass
class PictureListing:
    """The pictures to learn from, and what is wrong; `lost` are those whose own row is refused or sets them aside."""

    samples: list[PictureSample] = field(default_factory=list)
    findings: list[ListingProblem] = field(default_factory=list)
    lost: set[str] = field(default_factory=set)


def has_pictures(folder: Path) -> bool:
    return any(list_picture_names(folder))


def list_picture_names(folder: Path) -> list[str]:
    """List the pictures under a folder, by their names from there on; those in hidden folders are none."""
    names = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return [name for name in names if is_picture_name(name)]


def list_pictures(folder: Path, metadata_path: Path | None = None) -> PictureListing:
    """List every picture under `folder`; its caption is the metadata's, else that of the text file beside it.

    A metadata file that is named by `metadata_path` is the list: pictures that it does not name are left out.
    """
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    metadata = None
    if metadata_path is not None:
        is_inside = metadata_path.is_relative_to(folder)
        shown = metadata_path.relative_to(folder).as_posix() if is_inside else metadata_path.name
        metadata = MetadataFile(shown, metadata_path.read_bytes)
    listing = list_named_pictures(names, lambda name: (folder / name).read_bytes(), metadata)
    return PictureListing(
        [
            PictureSample(folder / each.name, each.name, each.caption, each.caption_file, each.caption_line)
            for each in listing.pictures
        ],
        listing.problems,
        listing.lost,
    )

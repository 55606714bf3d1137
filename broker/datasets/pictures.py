"""Data sets of pictures: which files are pictures with which caption, and what a report says of them. Pure."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from broker.datasets.data_files import DataFile, read_file
from broker.datasets.findings import DatasetFinding
from broker.datasets.picture_size import PictureUnusable, read_picture_size
from pricing.datasets.caption_quality import judge_caption
from pricing.datasets.finding_level import Level
from pricing.datasets.picture_captions import NO_CAPTION, choose_caption
from pricing.datasets.picture_listing import ListedPicture, ListingProblem, is_picture_name, list_named_pictures
from pricing.datasets.row_counts import RowCounts, RowTally
from pricing.datasets.row_finding import RowFinding, cut_figures
from pricing.datasets.thresholds import MAX_ASPECT, MAX_SAMPLES, MIN_SAMPLES, MIN_SIDE_PIXELS


@dataclass(frozen=True)
class StoredPicture:
    """A picture that can be read: its own caption ("" without one), upright size in pixels, SHA-256 of the file."""

    name: str
    caption: str
    size: tuple[int, int]
    sha256: str


@dataclass(frozen=True)
class ParsedPictures:
    """A data set of pictures; `unusable` are files and metadata rows that the trainer refuses unless told to skip,
    `notes` what else is to be said of its files.
    """

    pictures: list[StoredPicture] = field(default_factory=list)
    tally: RowTally = field(default_factory=RowTally)
    unusable: list[DatasetFinding] = field(default_factory=list)
    notes: list[DatasetFinding] = field(default_factory=list)

    @property
    def counts(self) -> RowCounts:
        """Count every picture, and every row about one that cannot be used."""
        return self.tally.sum_up("pictures")


def holds_pictures(names: Iterable[str]) -> bool:
    """Tell whether a data set is one of pictures: it is with a single picture in it, whatever else is there."""
    return any(is_picture_name(name) for name in names)


def parse_pictures(files: Iterable[DataFile], *, max_rows: int | None = None) -> ParsedPictures:
    """Parse every picture among the files, in the order in which the trainer reads them.

    Raises: TooManyRows, where a file of metadata has more than `max_rows`.
    """
    named = {file.name: file for file in files}
    listing = list_named_pictures(named, lambda name: read_file(named[name]), max_rows=max_rows)
    found = [_take_over(problem) for problem in listing.problems]
    parsed = ParsedPictures(
        unusable=[each for each in found if each.level == Level.ERROR],
        notes=[each for each in found if each.level != Level.ERROR],
    )
    parsed.tally.add_findings(problem.to_finding() for problem in listing.problems)
    for listed in listing.pictures:
        try:
            parsed.pictures.append(_read_picture(listed, named[listed.name]))
        except PictureUnusable as error:
            parsed.unusable.append(DatasetFinding(listed.name, None, Level.ERROR, str(error)))
            parsed.tally.add_finding(RowFinding(listed.name, 1, str(error), reason=cut_figures(str(error))))
    parsed.tally.usable = len(parsed.pictures)
    return parsed


def _read_picture(listed: ListedPicture, file: DataFile) -> StoredPicture:
    with file.open() as opened:
        size = read_picture_size(opened)
    with file.open() as opened:
        sha256 = hashlib.file_digest(opened, "sha256").hexdigest()  # type: ignore[arg-type]
    return StoredPicture(listed.name, listed.caption, size, sha256)


def _take_over(problem: ListingProblem) -> DatasetFinding:
    return DatasetFinding(problem.file, problem.line, problem.level, f"{problem.message}; {problem.cure}")


def report_on_pictures(parsed: ParsedPictures) -> list[DatasetFinding]:
    """Report what cannot be used first, then what will show in the result.

    Sharpness and near-duplicates need the pixels: `trainer check` judges those.
    """
    judged = [*_judge_count(len(parsed.pictures)), *_judge_copies(parsed.pictures)]
    return (
        parsed.unusable
        + parsed.notes
        + judged
        + [found for picture in parsed.pictures for found in _judge_picture(picture)]
    )


def _judge_picture(picture: StoredPicture) -> Iterator[DatasetFinding]:
    width, height = picture.size
    if min(width, height) < MIN_SIDE_PIXELS:
        message = f"is {width}×{height} pixels; take the original, of at least {MIN_SIDE_PIXELS}×{MIN_SIDE_PIXELS}"
        yield DatasetFinding(picture.name, None, Level.WARNING, message)
    if max(width, height) > MAX_ASPECT * min(width, height):
        message = f"is {width}×{height}, longer than {MAX_ASPECT:g} : 1; crop it by hand to what matters"
        yield DatasetFinding(picture.name, None, Level.HINT, message)
    caption = choose_caption(picture.name, picture.caption, None)
    if caption is None:
        yield DatasetFinding(picture.name, None, Level.WARNING, NO_CAPTION)
    elif picture.caption:
        for problem in judge_caption(caption):
            yield DatasetFinding(picture.name, None, problem.level, f"{problem.message}; {problem.cure}")


def _judge_count(pictures: int) -> Iterator[DatasetFinding]:
    if not MIN_SAMPLES <= pictures <= MAX_SAMPLES:
        message = f"has {pictures} pictures; {MIN_SAMPLES} to {MAX_SAMPLES} suit a style"
        yield DatasetFinding("", None, Level.HINT, message)


def _judge_copies(pictures: Sequence[StoredPicture]) -> Iterator[DatasetFinding]:
    first: dict[str, str] = {}
    counts = Counter(picture.sha256 for picture in pictures)
    for picture in pictures:
        if counts[picture.sha256] > 1 and first.setdefault(picture.sha256, picture.name) != picture.name:
            message = f"is the same file as {first[picture.sha256]}; keep one: what comes twice is learnt twice"
            yield DatasetFinding(picture.name, None, Level.WARNING, message)

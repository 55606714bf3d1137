"""Reading an image data set: every picture with its caption and repeats; what cannot be used is listed before anything
is loaded.
"""

from dataclasses import dataclass, field
from pathlib import Path

from pricing.datasets.finding_level import Level
from pricing.datasets.picture_captions import NO_CAPTION, choose_caption, read_kohya_folder
from pricing.datasets.row_counts import RowCounts, RowTally
from pricing.datasets.row_finding import RowFinding
from pricing.training.config import TrainingConfig
from trainer.data.bad_rows import list_findings, refuse_bad_rows
from trainer.data.images import ImageUnusable, read_size
from trainer.data.quality_samples import PictureSample, list_pictures
from trainer.errors import BadInput


@dataclass(frozen=True)
class ImageRow:
    """One picture of the data set: `size` is width and height in pixels; `repeats` is how often an epoch has it."""

    path: Path
    name: str
    caption: str
    size: tuple[int, int]
    repeats: int = 1
    is_regularisation: bool = False


@dataclass(frozen=True)
class ImageDataset:
    """The pictures that can be used, and why the others cannot."""

    rows: list[ImageRow] = field(default_factory=list)
    findings: list[RowFinding] = field(default_factory=list)

    @property
    def errors(self) -> list[RowFinding]:
        """List the findings of pictures, and of rows about them, that cannot be used."""
        return [finding for finding in self.findings if finding.level == Level.ERROR]

    @property
    def counts(self) -> RowCounts:
        """Count every picture, and every row about one that cannot be used."""
        tally = RowTally(usable=len(self.rows))
        tally.add_findings(self.findings)
        return tally.sum_up("pictures")


def read_image_dataset(config: TrainingConfig) -> ImageDataset:
    """Read every picture of `train_data_dir`, and of `reg_data_dir`, with its caption.

    Raises: BadInput, if a picture cannot be used and the configuration does not say to leave such out, or if none is
    left.
    """
    if config.train_data_dir is None:
        raise BadInput("train_data_dir", "this key is required: the folder with your pictures")
    dataset = ImageDataset()
    folder, metadata = Path(config.train_data_dir), Path(config.metadata_path) if config.metadata_path else None
    _read_folder("train_data_dir", folder, metadata, dataset, config.default_caption)
    if not dataset.rows and not dataset.errors:
        raise BadInput("train_data_dir", f"{folder} has no picture (.png, .jpg, .webp, …); give the folder with yours")
    if config.reg_data_dir is not None:
        _read_folder("reg_data_dir", Path(config.reg_data_dir), None, dataset, config.default_caption)
    counts = dataset.counts
    refuse_bad_rows(dataset.errors, skip=config.tolerates_bad(counts.refused_rows, of=counts.read), counts=counts)
    if not any(not row.is_regularisation for row in dataset.rows):
        raise BadInput("train_data_dir", list_findings("no picture is left to train on", dataset.errors))
    return dataset


def _read_folder(
    key: str, folder: Path, metadata: Path | None, dataset: ImageDataset, default_caption: str | None
) -> None:
    if not folder.is_dir():
        raise BadInput(key, f"{folder} is not a folder; give the folder with your pictures")
    if metadata is not None and not metadata.is_file():
        raise BadInput("metadata_path", f"{metadata} is not there; give the path of the metadata file, or leave it out")
    is_regularisation = key == "reg_data_dir"
    listing = list_pictures(folder, metadata)
    dataset.findings.extend(problem.to_finding() for problem in listing.findings)
    for sample in listing.samples:
        row = _read_row(sample, default_caption, is_regularisation=is_regularisation)
        if isinstance(row, ImageRow):
            dataset.rows.append(row)
        else:
            dataset.findings.append(row)


def _read_row(sample: PictureSample, default_caption: str | None, *, is_regularisation: bool) -> ImageRow | RowFinding:
    """Read one row, or return what is wrong with it.

    A regularisation picture may go without a caption: its class has no name.
    """
    caption = choose_caption(sample.name, sample.caption, default_caption)
    if caption is None and is_regularisation:
        caption = ""
    if caption is None:
        return RowFinding(sample.name, 1, NO_CAPTION, reason="has no caption")
    try:
        size = read_size(sample.path)
    except ImageUnusable as error:
        return RowFinding(sample.name, 1, str(error), reason=error.reason)
    kohya = read_kohya_folder(sample.name)
    return ImageRow(sample.path, sample.name, caption, size, kohya.repeats if kohya else 1, is_regularisation)

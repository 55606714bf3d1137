"""Reading the text data set of a configuration from disk, with the row parser that the broker's quote uses."""

from collections.abc import Iterator
from pathlib import Path

from pricing.datasets.file_names import name_for_reading, tell_unread
from pricing.datasets.text_records import FORMS
from pricing.datasets.text_rows import TEXT_SUFFIXES, ParsedRows, is_text_name, parse_text_files
from pricing.training.config import TrainingConfig
from trainer.data.bad_rows import refuse_bad_rows
from trainer.errors import BadInput

SHOWN_FINDINGS = 5


def read_text_dataset(config: TrainingConfig) -> ParsedRows:
    """Read all usable rows of `metadata_path`, else of every text file under `train_data_dir`; the rest become
    findings.

    Raises: BadInput, if a row cannot be used and the configuration does not say to leave such out, if there is no such
    place, or no usable row in it.
    """
    if config.train_data_dir is None:
        raise BadInput(
            "train_data_dir", f"this key is required: the folder with your text files ({', '.join(TEXT_SUFFIXES)})"
        )
    folder = Path(config.train_data_dir)
    files = list(_read_files(folder, config.metadata_path))
    parsed = parse_text_files(files)
    if config.metadata_path is None:
        parsed.findings.extend(tell_unread(list_names(folder)))
    if parsed.rows:
        refuse_bad_rows(
            parsed.errors,
            skip=config.tolerates_bad(parsed.counts.refused_rows, of=parsed.counts.read),
            counts=parsed.counts,
        )
        return parsed
    found = "; ".join(f"{f.file} line {f.line}: {f.message}" for f in parsed.findings[:SHOWN_FINDINGS])
    place, empty = config.metadata_path or config.train_data_dir, _tell_empty([name for name, _ in files])
    kinds = " or ".join(TEXT_SUFFIXES)
    cure = f"give it some: {FORMS}"
    raise BadInput("train_data_dir", f"no usable row in {place} ({found or empty or f'no {kinds} file there'}); {cure}")


def _tell_empty(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN_FINDINGS} more" if len(names) > SHOWN_FINDINGS else ""
    return f"{', '.join(names[:SHOWN_FINDINGS])}{more}: without a row" if names else ""


def _read_files(folder: Path, metadata_path: str | None) -> Iterator[tuple[str, bytes]]:
    if metadata_path is not None:
        yield name_for_reading(Path(metadata_path).name), _read_bytes("metadata_path", Path(metadata_path))
        return
    if not folder.is_dir():
        raise BadInput("train_data_dir", f"{folder} is not a folder; give the folder with your data")
    for name in list_names(folder):
        if is_text_name(name):
            yield name, _read_bytes("train_data_dir", folder / name)


def list_names(folder: Path) -> list[str]:
    """List the files under a folder by their names from there on, with `/`."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def _read_bytes(field: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadInput(field, f"{path} cannot be read ({error.strerror})") from error

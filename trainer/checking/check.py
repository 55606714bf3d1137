"""`trainer check`: what kind of data a folder holds, its report, and the list of what is left when bad rows go."""

import gzip
import json
from pathlib import Path
from typing import TYPE_CHECKING, cast

from tokenizers import Tokenizer

from pricing.catalog import CATALOG
from pricing.datasets.text_rows import TextRow, encode_row
from pricing.training.config import TrainingConfig
from trainer.atomic_files import writing_file
from trainer.base_models.config import BaseModelSource, resolve_base_model
from trainer.checking.image_report import CountTokens, check_images
from trainer.checking.text_report import MeasureRow, RowLength, check_text
from trainer.data.quality_report import QualityReport
from trainer.data.quality_samples import has_pictures
from trainer.errors import BadInput

if TYPE_CHECKING:
    from trainer.families.text.causal_lm import CausalLM
    from trainer.families.text.tokenizer import TextTokenizer

# The vocabulary of the text encoders of Stable Diffusion 1.5 and XL (CLIP ViT-L/14).
CLIP_TOKENIZER = "clip-vit-large-patch14.json.gz"
UNCUT = 2**31


def check_dataset(folder: Path, config: TrainingConfig | None = None) -> QualityReport:
    """Report on a folder of pictures, or else of text rows. Without `config` text has no lengths in tokens.

    Raises: BadInput, for a folder that is not there or a base model that cannot be found.
    """
    if not folder.is_dir():
        raise BadInput("DATA", f"{folder} is not a folder; give the folder with your data")
    metadata = Path(config.metadata_path) if config is not None and config.metadata_path else None
    if metadata is not None and not metadata.is_file():
        raise BadInput("metadata_path", f"{metadata} is not a file; give the metadata file, or leave the key out")
    if has_pictures(folder):
        default = config.default_caption if config is not None else None
        return check_images(folder, metadata, load_clip_counter(), default_caption=default)
    if config is None:
        return check_text(folder, metadata)
    source = resolve_base_model(config.base_model)
    max_length = min(config.max_length, read_context_length(source) or config.max_length)
    return check_text(folder, metadata, load_row_measure(source), max_length=max_length)


def read_context_length(source: BaseModelSource) -> int | None:
    """Read how many tokens a base model reads, at which training cuts, too; None where nothing says so."""
    if source.profile is not None:
        return source.profile.context_length
    try:
        facts = json.loads((source.weights / "config.json").read_text(encoding="utf-8"))
        length = facts.get("max_position_embeddings") or facts.get("seq_length")
    except (OSError, ValueError, AttributeError):
        return None
    return length if isinstance(length, int) else None


def load_clip_counter() -> CountTokens:
    """Load what counts the tokens of a caption, begin and end not counted."""
    content = gzip.decompress((CATALOG / "tokenizers" / CLIP_TOKENIZER).read_bytes())
    tokenizer = Tokenizer.from_str(content.decode("utf-8"))
    return lambda caption: len(tokenizer.encode(caption, add_special_tokens=False).ids)


def load_row_measure(source: BaseModelSource) -> MeasureRow:
    """Load what counts the tokens of a row as the training of this base model encodes it. Raises: BadInput."""
    tokenizer = _load_tokenizer(source)

    def measure(row: TextRow) -> RowLength:
        encoded = encode_row(row, tokenizer.text_format, tokenizer.encode, max_length=UNCUT)
        return RowLength(len(encoded.token_ids), encoded.prompt_length)

    return measure


def _load_tokenizer(source: BaseModelSource) -> "TextTokenizer":
    """Load the tokenizer that the training has: the catalogue's at once, any other as its family reads it."""
    if source.profile is not None and source.profile.tokenizer is not None and source.is_gguf:
        from trainer.families.text.tokenizer import load_text_tokenizer  # noqa: PLC0415 - quick: it needs no torch

        return load_text_tokenizer(source, source.weights.parent)
    from trainer.families.registry import get_family_class  # noqa: PLC0415 - the class brings torch

    family = cast("type[CausalLM]", get_family_class(source))
    return family.read_tokenizer(source)


def write_kept(report: QualityReport) -> Path | None:
    """Write the samples without a bad row beside the data's folder; None if no sample is left.

    The data itself is not touched: `metadata_path` in the configuration names the new file.
    """
    if not report.kept:
        return None
    folder = Path(report.folder).resolve()
    file = folder.with_name(f"{folder.name}.kept.jsonl")
    with writing_file(file) as aside:
        lines = (json.dumps(row, ensure_ascii=False, default=str) for row in report.kept)
        aside.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file

"""The tokenizer and the text format of a base model: the catalogue's, by which the broker quotes, else the folder's."""

import gzip
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer

from pricing.catalog import read_tokenizer
from pricing.estimate.text_rows import TextFormat
from trainer.config import BaseModelSource
from trainer.errors import BadInput

PROMPT_MARK, COMPLETION_MARK = "\u2063prompt\u2063", "\u2063completion\u2063"


@dataclass(frozen=True)
class TextTokenizer:
    """Text to token ids and back, with the text that the model expects around prompt and completion."""

    tokenizer: Tokenizer
    text_format: TextFormat

    def encode(self, text: str) -> list[int]:
        """Token ids without special tokens of its own; those written out in the text are recognised."""
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def decode(self, token_ids: list[int]) -> str:
        return self.tokenizer.decode(token_ids, skip_special_tokens=True)


def load_text_tokenizer(source: BaseModelSource, folder: Path) -> TextTokenizer:
    """`folder` holds the model (de-quantized where the source is a GGUF file). Raises: BadInput."""
    if source.profile is not None:
        tokenizer_json = gzip.decompress(read_tokenizer(source.profile)).decode("utf-8")
        return TextTokenizer(Tokenizer.from_str(tokenizer_json), source.profile.text_format)
    file = folder / "tokenizer.json"
    if not file.is_file():
        raise BadInput("base_model", f"{folder} has no tokenizer.json; save the fast tokenizer into that folder")
    return TextTokenizer(Tokenizer.from_file(str(file)), derive_text_format(folder))


def derive_text_format(folder: Path) -> TextFormat:
    """The chat template of a model folder written out; without one, a line break and the end-of-text token."""
    from trainer.families.transformers_quiet import transformers  # noqa: PLC0415 - slow, and only local models need it

    tokenizer = transformers.AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    if tokenizer.chat_template is None:
        return TextFormat(after_completion=tokenizer.eos_token or "")
    turns = [{"role": "user", "content": PROMPT_MARK}, {"role": "assistant", "content": COMPLETION_MARK}]
    written = tokenizer.apply_chat_template(turns, tokenize=False)
    before_prompt, _, rest = written.partition(PROMPT_MARK)
    after_prompt, _, after_completion = rest.partition(COMPLETION_MARK)
    return TextFormat(before_prompt, after_prompt, after_completion)

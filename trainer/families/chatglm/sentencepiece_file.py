"""A SentencePiece model as a fast tokenizer with the same ids, which is checked against SentencePiece itself."""

import importlib
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers

from trainer.errors import BadInput

SPACE = "▁"  # what SentencePiece writes for a space
BPE = 2
NORMAL, CONTROL, USER_DEFINED = 1, 3, 4
PROBES = (
    "",
    "\n",
    " ",
    "a  b\n\n c\t",
    "Tea, calm and hot: 12.5 °C!",
    "问：今天天气怎么样？\n\n答：晴",
    "Ünïcode 🍵 \u200b x<s>y",
    "def f(x):\n    return x ** 2\n",
)


class NotSentencePiece(ValueError):
    """The bytes are no SentencePiece model."""


def read_sentencepiece(content: bytes) -> Any:
    """Load the processor of a model. Raises: NotSentencePiece; BadInput, where the package is missing."""
    sentencepiece = _import("sentencepiece")
    try:
        return sentencepiece.SentencePieceProcessor(model_proto=content)
    except RuntimeError as error:
        raise NotSentencePiece(str(error)) from error


def convert_sentencepiece(content: bytes, special: list[str]) -> Tokenizer:
    """Make the same tokenizer without SentencePiece; `special` tokens follow behind its own pieces, in this order.

    Each stretch of text between two special tokens is encoded as SentencePiece would encode it alone.
    Raises: NotSentencePiece; BadInput, where the two would not give the same ids.
    Source: transformers, `convert_slow_tokenizer.py`, for the parts of a converted SentencePiece model.
    """
    processor = read_sentencepiece(content)
    model = _parse(content)
    tokenizer = Tokenizer(_convert_model(model))
    tokenizer.normalizer = _convert_normalizer(model.normalizer_spec)
    strip = [decoders.Strip(" ", 1, 0)] if model.normalizer_spec.add_dummy_prefix else []
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse(), *strip]
    )
    _check(tokenizer, processor)
    own = [piece for piece in model.pieces if piece.type in {CONTROL, USER_DEFINED}]
    tokenizer.add_tokens([AddedToken(p.piece, normalized=False, special=p.type == CONTROL) for p in own])
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in special])
    return tokenizer


def _parse(content: bytes) -> Any:
    return _import("sentencepiece.sentencepiece_model_pb2").ModelProto.FromString(content)


def _import(module: str) -> Any:
    """Import a module of sentencepiece, which only ChatGLM2 and 3 need. Raises: BadInput."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        cure = "run `pip install sentencepiece protobuf`, with which tokenizer.model is read"
        raise BadInput("base_model", cure) from error


def _convert_model(model: Any) -> Any:
    training = model.trainer_spec
    if training.model_type != BPE:
        cure = "put the release's tokenizer.json beside it"
        raise BadInput("base_model", f"tokenizer.model is a SentencePiece model of another kind than BPE; {cure}")
    return models.BPE(
        vocab={piece.piece: number for number, piece in enumerate(model.pieces)},
        merges=list_merges({piece.piece: piece.score for piece in model.pieces if piece.type == NORMAL}),
        unk_token=training.unk_piece,
        fuse_unk=True,
        byte_fallback=training.byte_fallback,
    )


def list_merges(scores: dict[str, float]) -> list[tuple[str, str]]:
    """List every pair of pieces that makes a piece, the best first: SentencePiece merges by the score of the result.

    Source: sentencepiece, `bpe_model.cc`, `Model::SampleEncode`.
    """
    pairs = [
        (-score, number, piece[:cut], piece[cut:])
        for number, (piece, score) in enumerate(scores.items())
        for cut in range(1, len(piece))
        if piece[:cut] in scores and piece[cut:] in scores
    ]
    return [(left, right) for _, _, left, right in sorted(pairs)]


def _convert_normalizer(spec: Any) -> Any:
    """Convert the steps that text goes through before it is cut. Source: sentencepiece, `normalizer.cc`."""
    steps: list[Any] = [normalizers.Precompiled(spec.precompiled_charsmap)] if spec.precompiled_charsmap else []
    if spec.remove_extra_whitespaces:
        steps += [normalizers.Strip(), normalizers.Replace(Regex(" {2,}"), " ")]
    if spec.add_dummy_prefix:
        steps.append(normalizers.Prepend(SPACE))
    return normalizers.Sequence([*steps, normalizers.Replace(" ", SPACE)])


def _check(tokenizer: Tokenizer, processor: Any) -> None:
    for text in PROBES:
        if tokenizer.encode(text, add_special_tokens=False).ids != processor.encode(text):
            raise BadInput(
                "base_model",
                f"tokenizer.model encodes {text!r} otherwise than its converted form; put the release's tokenizer.json "
                "beside it",
            )

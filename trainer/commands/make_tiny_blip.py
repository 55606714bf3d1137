"""A small random BLIP of the true architecture: every layer of the real one, few channels, a few dozen words."""

from pathlib import Path

from trainer.atomic_files import writing_folder
from trainer.base_models.transformers_quiet import transformers

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[DEC]", "[ENC]"]
WORDS = (
    "a an the red blue green yellow black white grey kettle table lamp cup chair wall window tree river house boat "
    "street cat dog bird person on in with under beside of and small large old bright dark round wooden"
)
PIXELS, PATCH = 32, 16


def make_blip(target: Path) -> None:
    """Write the model folder, with random weights drawn from torch's generator."""
    from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil  # noqa: PLC0415 - slow

    words = [*SPECIAL, *WORDS.split()]
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    special = {"bos_token_id": 5, "eos_token_id": 3, "sep_token_id": 3, "pad_token_id": 0}
    text = sizes | special | {"vocab_size": len(words), "encoder_hidden_size": 16, "projection_dim": 16}
    vision = sizes | {"image_size": PIXELS, "patch_size": PATCH}
    config = transformers.BlipConfig(
        text_config=text, vision_config=vision, projection_dim=16, image_text_hidden_size=16
    )
    with writing_folder(target) as folder:
        transformers.BlipForConditionalGeneration(config).save_pretrained(folder)
        (folder / "vocab.txt").write_text("\n".join(words), encoding="utf-8")
        tokenizer = transformers.BertTokenizerFast(str(folder / "vocab.txt"), bos_token=SPECIAL[5])
        pictures = BlipImageProcessorPil(size={"height": PIXELS, "width": PIXELS})
        transformers.BlipProcessor(pictures, tokenizer).save_pretrained(folder)

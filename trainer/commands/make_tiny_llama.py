"""`trainer make-tiny llama`: a small random LLaMA whose tokens are bytes."""

import json
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from trainer.atomic_files import writing_folder
from trainer.base_models.transformers_quiet import transformers

END_OF_TEXT = "<|end|>"


def make_llama(target: Path) -> None:
    """Write a LLaMA of 2 layers and width 32 with one token for each byte, and no chat template."""
    config = transformers.LlamaConfig(
        vocab_size=257,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        bos_token_id=256,
        eos_token_id=256,
    )
    with writing_folder(target) as folder:
        transformers.LlamaForCausalLM(config).save_pretrained(folder)
        write_byte_tokenizer(folder)


def write_byte_tokenizer(folder: Path) -> None:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={token: index for index, token in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([END_OF_TEXT])
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": END_OF_TEXT}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")

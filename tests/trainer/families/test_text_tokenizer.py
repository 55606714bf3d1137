"""The text around prompt and completion."""

import json

from pricing.estimate.text_rows import TextFormat
from trainer.families.text_tokenizer import derive_text_format

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
)


def test_a_folder_without_a_chat_template_ends_completions_with_its_end_token(tiny_model) -> None:
    assert derive_text_format(tiny_model) == TextFormat("", "\n", "<|end|>")


def test_a_chat_template_is_written_out(tiny_model, tmp_path) -> None:
    (tmp_path / "tokenizer.json").write_bytes((tiny_model / "tokenizer.json").read_bytes())
    settings = json.loads((tiny_model / "tokenizer_config.json").read_text())
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings | {"chat_template": CHATML}))
    assert derive_text_format(tmp_path) == TextFormat(
        before_prompt="<|im_start|>user\n",
        after_prompt="<|im_end|>\n<|im_start|>assistant\n",
        after_completion="<|im_end|>\n",
    )

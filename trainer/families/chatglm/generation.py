"""ChatGLM2 or ChatGLM3: they share a SentencePiece file, but neither special tokens nor chat layout."""

import json
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from pricing.datasets.text_format import TextFormat
from trainer.errors import BadInput

CODE_FILE, SETTINGS_FILE = "tokenization_chatglm.py", "tokenizer_config.json"
# Behind the pieces of the file, in this order. The originals `sop` and `eop` are never read in text, only put in by
# code; they are written as GLM-4 writes them here, or every "philosophy" would have one in it.
SHARED_TOKENS = ("[MASK]", "[gMASK]", "[sMASK]", "<sop>", "<eop>")
ROLE_TOKENS = ("<|system|>", "<|user|>", "<|assistant|>", "<|observation|>")
END, UNKNOWN = "</s>", "<unk>"


class Generation(IntEnum):
    """Of the models that have a SentencePiece file."""

    CHATGLM2 = 2
    CHATGLM3 = 3


@dataclass(frozen=True)
class ChatLayout:
    """Special tokens behind the pieces; the chat template for other programs, and the layout that training uses.

    Prompt and answer are encoded apart, each beginning with SentencePiece's own space, as the releases do it: so the
    layout has no space before an answer.
    """

    special: tuple[str, ...]
    template: str
    text_format: TextFormat


# Source: `build_prompt` of chatglm2-6b: prefix [gMASK] sop, rounds counted from 1; its P-tuning script ends with </s>.
CHATGLM2 = ChatLayout(
    special=SHARED_TOKENS,
    template=(
        "[gMASK]<sop>{% for message in messages %}{% if message['role'] == 'user' %}"
        "[Round {{ (loop.index0 - (1 if messages[0]['role'] == 'system' else 0)) // 2 + 1 }}]\n\n"
        "问：{{ message['content'] }}\n\n答：{% elif message['role'] == 'assistant' %}{{ message['content'] }}"
        "{% if loop.last %}</s>{% else %}\n\n{% endif %}{% else %}{{ message['content'] }}\n\n{% endif %}{% endfor %}"
    ),
    text_format=TextFormat(
        before_prompt="[gMASK]<sop>[Round 1]\n\n问：",
        after_prompt="\n\n答：",
        after_completion=END,
        after_earlier_completion="\n\n",
        before_next_prompt="[Round {round}]\n\n问：",
        begin="[gMASK]<sop>",
    ),
)
# Source: `build_single_message` of chatglm3-6b: a role, a line break, the message, the two encoded apart. The released
# model stops at <|user|>, which is where an answer ends in a conversation.
CHATGLM3 = ChatLayout(
    special=(*SHARED_TOKENS, *ROLE_TOKENS),
    template=(
        "[gMASK]<sop>{% for message in messages %}<|{{ message['role'] }}|>\n {{ message['content'] }}{% endfor %}"
        "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
    ),
    text_format=TextFormat(
        before_prompt="[gMASK]<sop><|user|>\n ",
        after_prompt="<|assistant|>\n",
        after_completion="<|user|>",
        before_system="[gMASK]<sop><|system|>\n ",
        after_system="<|user|>\n ",
        before_next_prompt="\n ",
        begin="[gMASK]<sop>",
    ),
)
LAYOUTS = {Generation.CHATGLM2: CHATGLM2, Generation.CHATGLM3: CHATGLM3}


def tell_generation(folder: Path) -> Generation:
    """Tell the two apart by the role tokens in the release's settings or code (read, never run), else by name. Raises:
    BadInput.
    """
    settings, code, config = (_read(folder / name) for name in (SETTINGS_FILE, CODE_FILE, "config.json"))
    if ROLE_TOKENS[1] in settings or ROLE_TOKENS[1] in code:
        return Generation.CHATGLM3
    if code:
        return Generation.CHATGLM2
    named = " ".join([folder.resolve().name, settings, _name_of(config)]).lower()
    told = [generation for generation in Generation if f"chatglm{generation.value}" in named]
    if len(told) != 1:
        raise BadInput(
            "base_model",
            f"{folder} does not say whether it is ChatGLM2 or ChatGLM3, whose chat layouts differ; copy the release's "
            f"{CODE_FILE} into it (it is read, never run), or name the folder chatglm2-6b or chatglm3-6b",
        )
    return told[0]


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def _name_of(config: str) -> str:
    try:
        return str(json.loads(config).get("_name_or_path", ""))
    except (ValueError, AttributeError):
        return ""

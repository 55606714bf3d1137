"""What a model folder says it is, without loading anything."""

import json
from pathlib import Path

from trainer.errors import BadInput

CHATGLM_ORIGINAL, CHATGLM_MAPPED = "chatglm", frozenset({"glm", "glm4"})


def read_model_type(folder: Path) -> str | None:
    """Read `model_type` of a folder's config.json; None if there is none that can be read."""
    try:
        return str(json.loads((folder / "config.json").read_text(encoding="utf-8"))["model_type"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def is_chatglm(folder: Path) -> bool:
    """Tell whether a model folder is of the ChatGLM family, in either layout."""
    return read_model_type(folder) in {CHATGLM_ORIGINAL, *CHATGLM_MAPPED}


def refuse_what_sees(folder: Path) -> None:
    """Refuse a model that reads pictures as well as text: its language model is a part of it. Raises: BadInput."""
    try:
        sees = "vision_config" in json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError):
        return
    if sees:
        raise BadInput(
            "base_model",
            f"{folder} reads pictures, too (its config.json has a vision_config), and this trainer trains language "
            "models alone; take one that reads text only, such as gemma-3-1b or qwen3-4b, or the language model of "
            "this one saved by itself",
        )

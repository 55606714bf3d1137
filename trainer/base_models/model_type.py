"""What a model folder says it is, without loading anything."""

import json
from pathlib import Path

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

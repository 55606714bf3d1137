"""A profile as a JSON file: whole numbers without a point, a flat object on one line."""

import json
import re
from typing import Any

from pricing.catalog.profile import BaseModelProfile

FLAT_OBJECT = re.compile(r"\{\n[^{}\[\]]*\}")
FLAT_LIST = re.compile(r"\[\n[^\[\]{}]*\]")
LONGEST_LINE = 100


def format_profile(profile: BaseModelProfile) -> str:
    written = json.dumps(_shorten(profile.model_dump(mode="json", exclude_defaults=True)), indent=2, ensure_ascii=False)
    written = FLAT_OBJECT.sub(lambda match: _join(match.group(), " "), written)
    return FLAT_LIST.sub(lambda match: _join(match.group(), ""), written) + "\n"


def _shorten(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _shorten(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_shorten(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _join(lines: str, edge: str) -> str:
    """Join the lines, if that is short enough to read."""
    first, *inner, last = (line.strip() for line in lines.splitlines())
    joined = f"{first}{edge}{' '.join(inner)}{edge}{last}"
    return joined if len(joined) <= LONGEST_LINE else lines

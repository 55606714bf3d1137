"""JSON objects in a file's header, which other programs may have written or cut."""

import json
from typing import Any

from trainer.errors import AdapterUnusable


def read_json(key: str, text: str) -> dict[str, Any]:
    """Read the JSON object that stands under `key` in a header. Raises: AdapterUnusable."""
    try:
        read = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise AdapterUnusable(f"{key} in the file's header is no JSON ({error}); fetch the file again") from error
    if not isinstance(read, dict):
        raise AdapterUnusable(f"{key} in the file's header is no JSON object; fetch the file again")
    return read

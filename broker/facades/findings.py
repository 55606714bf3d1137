"""What of a data set cannot be used, in a sentence. Pure."""

from collections.abc import Mapping
from typing import Any


def tell_findings(dataset: Mapping[str, Any]) -> str | None:
    """Tell how much of a data set cannot be used, and the first of it; None where nothing is wrong."""
    bad = dataset["finding_counts"]["error"]
    if not bad:
        return None
    first = next(each for each in dataset["findings"] if each["level"] == "error")
    place = f"{first['file']}, line {first['line']}" if first["line"] else first["file"]
    return f"{bad} of its rows and files cannot be used; {place}: {first['message']}"

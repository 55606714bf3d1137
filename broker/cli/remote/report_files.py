"""Fetching a report: as it is, or into a file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlencode

from broker.cli.output import write_answer
from broker.cli.words import say
from broker.client.rest import Client


def fetch_report(
    client: Client,
    report: str,
    asked: Mapping[str, Any],
    output: Path | None,
    *,
    as_format: Literal["by_name"] | None = "by_name",
    as_json: bool,
) -> Any:
    """Fetch a report; None, once it is written where a file is named for it: as XLSX, where its name ends so.

    `as_format` None: the report is a file of one kind.
    """
    if output is None:
        return client.get(f"/reports/{report}", **asked)
    query = {name: value for name, value in asked.items() if value is not None}
    if as_format is not None:
        query["format"] = "xlsx" if output.suffix.lower() == ".xlsx" else "csv"
    written = client.download(f"/reports/{report}?{urlencode(query)}", output)
    write_answer({"path": str(written)}, say("{path} is written.", path=written), as_json=as_json)
    return None

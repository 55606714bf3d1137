"""How reports are asked for: of which month, in which form."""

from typing import Annotated, Any, Literal

from fastapi import Query

from broker.billing.documents.workbook import WORKBOOK
from broker.billing.schemas import LIKE_A_MONTH, MONTH_PATTERN

Month = Annotated[str, LIKE_A_MONTH, Query(pattern=MONTH_PATTERN, description="Billing month.", examples=["2026-11"])]
Format = Annotated[
    Literal["json", "csv", "xlsx"], Query(alias="format", description="json, csv or xlsx.", examples=["json"])
]


def as_files_too(report: str) -> dict[int | str, dict[str, Any]]:
    """Describe the answer of a route that has a report as JSON, and as a file for who asks for that."""
    return {200: {"content": {"text/csv": {}, WORKBOOK: {}}, "description": f"The {report}, as JSON, CSV or XLSX."}}

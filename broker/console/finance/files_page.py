"""Files that pages of finance link to: the answers of the API as CSV, XLSX, PDF or JSON, for who is signed in."""

import re
from typing import Annotated

from fastapi import Path, Response

from broker import errors
from broker.console.frame.page import FinancePage, page_router

router = page_router("/finance")

REPORTS = "monthly-cost|pool-margin|receivables|commitments|plan-advice|revenue|journal|focus"
ALLOWED = re.compile(
    rf"reports/({REPORTS})|invoices/inv_\w+(/evidence)?|closings/[0-9-]+/vouchers|credit-notes/crn_\w+|fapiao/\w+/file"
)
FILE_FORMATS = frozenset({"csv", "xlsx", "pdf", "ofd", "xml"})


@router.get("/files/{what:path}")
async def download(
    page: FinancePage,
    what: Annotated[str, Path(max_length=200)],
    format: str | None = None,  # noqa: A002 (the API's own name)
    month: str | None = None,
    group_by: str | None = None,
    month_over_month: str | None = None,
    customer_id: str | None = None,
    table: str | None = None,
    language: str | None = None,
) -> Response:
    """Answer a file that the API makes. Raises: NotFound, for what is none of these."""
    if ALLOWED.fullmatch(what) is None:
        raise errors.NotFound("page", page.request.url.path)
    told = {
        "format": format,
        "month": month,
        "group_by": group_by,
        "month_over_month": month_over_month,
        "customer_id": customer_id,
        "table": table,
        "language": language,
    }
    params = {name: value for name, value in told.items() if value is not None}
    answer = await page.ask("GET", f"/v1/{what}", params=params)
    if answer.problem is not None:
        return page.show("frame/problem.html", status=answer.status, problem=answer.problem, retry=None)
    kind = format if format in FILE_FORMATS else "json"
    stem = "-".join(filter(None, (what.replace("/", "-"), month)))
    headers = {"Content-Disposition": f'attachment; filename="{stem}.{kind}"'}
    return Response(answer.content, media_type=answer.media_type, headers=headers)

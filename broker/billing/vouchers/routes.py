"""The chart of accounts that finance maps, and the vouchers of closed months."""

from typing import Annotated, Literal

from fastapi import Query, Response

from broker.billing.closing.routes import MonthPath
from broker.billing.documents.workbook import WORKBOOK
from broker.billing.vouchers import files, service
from broker.billing.vouchers.schemas import ChartIn, ChartOut, VouchersOut
from broker.http.csv_table import MEDIA_TYPE
from broker.http.edge import FinanceWork, feature_router
from broker.http.shapes import Whole

router = feature_router("", "billing")


@router.get("/chart-of-accounts")
async def get_chart_of_accounts(
    work: FinanceWork,
    version: Annotated[Whole | None, Query(description="This version; default: the newest.", examples=[1])] = None,
) -> ChartOut:
    """Get which codes and names finance has for our accounts of money (科目表)."""
    return ChartOut.of(await service.get_chart(work, version))


@router.put("/chart-of-accounts")
async def replace_chart_of_accounts(work: FinanceWork, body: ChartIn) -> ChartOut:
    """Replace the chart of accounts: another version, which exports use from now on."""
    return ChartOut.of(await service.replace_chart(work, [each.read() for each in body.accounts]))


@router.get(
    "/closings/{month}/vouchers",
    response_model=VouchersOut,
    responses={200: {"content": {"text/csv": {}, WORKBOOK: {}}, "description": "The vouchers: JSON, CSV or XLSX."}},
)
async def export_vouchers(
    work: FinanceWork,
    month: MonthPath,
    as_format: Annotated[
        Literal["json", "csv", "xlsx"], Query(alias="format", description="json, csv or xlsx.", examples=["csv"])
    ] = "json",
) -> VouchersOut | Response:
    """Export the vouchers (凭证) of a closed month by the newest chart of accounts."""
    vouchers = await service.make_vouchers(work, month)
    if as_format == "json":
        return VouchersOut.of(vouchers)
    content = files.write_csv(vouchers) if as_format == "csv" else files.write_xlsx(vouchers)
    headers = {"Content-Disposition": f'attachment; filename="vouchers-{month}.{as_format}"'}
    return Response(content, media_type=MEDIA_TYPE if as_format == "csv" else WORKBOOK, headers=headers)

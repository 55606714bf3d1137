"""Usage events as files: JSON lines, or a table whose texts no spreadsheet takes for formulas."""

from collections.abc import AsyncIterator
from typing import Annotated, Literal

from fastapi import Query
from fastapi.responses import StreamingResponse

from broker import errors
from broker.http.csv_table import MEDIA_TYPE, write_table
from broker.http.edge import AnyCaller, feature_router
from broker.http.shapes import Moment, OfContract, OfCustomer
from broker.metering.reading.export import COLUMNS, Export, Looks, flatten, read_pieces, write_line

router = feature_router("/usage-events", "metering")

JSON_LINES = "application/x-ndjson"
WRITTEN_OUTSIDE = ("source", "event_id", "corrects", "labels")
From = Annotated[
    Moment, Query(alias="from", description="Only what ended at this time or later.", examples=["2026-11-01T00:00:00Z"])
]
To = Annotated[Moment, Query(description="Only what ended before this time.", examples=["2026-12-01T00:00:00Z"])]
Format = Annotated[Literal["jsonl", "csv"], Query(alias="format", description="jsonl or csv.", examples=["jsonl"])]


@router.get(
    "/export",
    response_class=StreamingResponse,
    responses={200: {"content": {JSON_LINES: {}, "text/csv": {}}, "description": "The events, one a line."}},
)
async def export_usage_events(
    caller: AnyCaller,
    since: From,
    to: To,
    as_format: Format = "jsonl",
    customer_id: OfCustomer = None,
    contract_id: OfContract = None,
) -> StreamingResponse:
    """Export usage events in the order in which the usage ended; a customer gets its own."""
    if since >= to:
        raise errors.invalid_field("to", "must be after from")
    export = Export(since, to, customer_id, contract_id)
    headers = {"Content-Disposition": f'attachment; filename="usage-events.{as_format}"'}
    if as_format == "csv":
        return StreamingResponse(_write_csv(caller, export), headers=headers, media_type=MEDIA_TYPE)
    return StreamingResponse(_write_lines(caller, export), headers=headers, media_type=JSON_LINES)


async def _write_lines(looks: Looks, export: Export) -> AsyncIterator[str]:
    async for rows in read_pieces(looks, export):
        yield "".join(map(write_line, rows))


async def _write_csv(looks: Looks, export: Export) -> AsyncIterator[bytes]:
    yield write_table(COLUMNS, [], names=WRITTEN_OUTSIDE)
    async for rows in read_pieces(looks, export):
        yield write_table(COLUMNS, map(flatten, rows), names=WRITTEN_OUTSIDE, heads=False)

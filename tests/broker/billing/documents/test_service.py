"""Documents over the API: of final invoices, by format or by what a client accepts, and of nobody else."""

from broker.billing.documents.fonts import find_fonts
from broker.config import Settings
from broker.system import System
from tests.broker.billing.invoicing import bill, use
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api, customer_api, make_ready_customer
from tests.broker.running_jobs import HOUR


async def test_a_final_invoice_is_sent_in_every_format_and_stays_as_it_was(
    api: Api, system: System, settings: Settings, clock: ManualClock
) -> None:
    settings.issuer_name = "杭州样例智算有限公司"
    customer, other = await make_ready_customer(api), await make_ready_customer(api)
    await use(system, customer, HOUR)
    draft = await api.post("/invoices", {"contract_id": customer.contract["id"], "month": "2026-11"}, expect=201)
    assert (await api.get(f"/invoices/{draft['id']}", expect=409, format="csv"))["type"].endswith("illegal-transition")
    clock.advance(days=40)
    invoice = await bill(api, customer, "2026-11")
    path = f"/v1/invoices/{invoice['id']}"
    async with customer_api(api, customer.id) as own, customer_api(api, other.id) as stranger:
        table = await own.http.get(path, headers={"Accept": "text/csv"})
        assert table.headers["Content-Disposition"] == f'attachment; filename="{invoice["number"]}.csv"'
        assert table.text.count("\n") == 1 + len(invoice["lines"])
        assert (await own.http.get(path, headers={"Accept": "text/csv"}, params={"format": "json"})).json() == invoice
        assert (await stranger.http.get(path, params={"format": "csv"})).status_code == 404
        if find_fonts(None) is not None:
            first = await own.http.get(path, params={"format": "pdf", "language": "en"})
            assert first.headers["Content-Type"] == "application/pdf"
            settings.issuer_name = "另一家公司"
            clock.advance(days=5)
            assert (await own.http.get(path, params={"format": "pdf", "language": "en"})).content == first.content
    refused = await api.get(f"/invoices/{invoice['id']}", expect=422, format="docx")
    assert refused["errors"][0]["field"] == "format"

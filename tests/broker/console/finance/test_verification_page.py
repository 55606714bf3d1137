"""Verifications: finance sees who waits, looks at the number, which stands in the audit, decides, and takes it back."""

from tests.broker.console.people import sign_in_staff
from tests.broker.factories import Api, customer_api, make_customer

PAGE = "/console/finance/verifications"
PAPERS = {"name": "阿克米茶业有限公司", "document_number": "91310000MA1K35X123"}


async def test_who_waits_is_decided_on_with_a_reason_and_on_record(api: Api) -> None:
    customer = (await make_customer(api))["id"]
    at = f"/console/finance/customers/{customer}/verification"
    async with sign_in_staff(api, "finance") as finance:
        assert (await finance.open(PAGE)).state_of("verifications") == "never"
        assert (await finance.open(at)).tree.css("#decide") == []
        async with customer_api(api, customer) as own:
            await own.post(f"/customers/{customer}/verification", PAPERS)
        assert PAPERS["name"] in (await finance.open(PAGE)).find("#verifications tbody tr")
        shown = await finance.open(at)
        assert PAPERS["document_number"] in shown.find("#verification")
        refused = await finance.send(at, {"verdict": "rejected"}, of=shown, form="#decide", expect=422)
        assert "is required" in refused.find("#f-note-error")
        await finance.send(at, {"verdict": "verified"}, of=shown, form="#decide")
        assert customer in (await finance.open(PAGE, state="verified")).response.text
        back = await finance.open(at)
        await finance.send(at, {"verdict": "unverified", "note": "It was sold."}, of=back, form="#decide")
    assert (await api.get(f"/customers/{customer}"))["verification"] == "unverified"
    looks = (await api.get("/audit", action="get_customer_verification"))["data"]
    assert len(looks) >= 3

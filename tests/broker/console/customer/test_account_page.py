"""The account's page: verified by law with what waits for that, and the exit with all data and the proof."""

import io
import zipfile

from broker.retention.service import sweep
from broker.system import System
from tests.broker.conftest import ManualClock
from tests.broker.console.people import sign_in_customer
from tests.broker.factories import Api, make_ready_customer

PAGE = "/console/account"
PAPERS = {"name": "阿克米茶业有限公司", "document_number": "91310000MA1K35X123"}


async def test_it_tells_what_waits_for_a_verification_and_takes_the_papers(api: Api) -> None:
    customer = await make_ready_customer(api)
    api.app.state.services.settings.verification_before_paying = True
    form = "#verification-form"
    async with sign_in_customer(api, customer.id) as person:
        page = await person.open(PAGE)
        assert "you cannot order hours ahead" in page.find("#verification")
        bad = {**PAPERS, "document_number": "?"}
        refused = await person.send(f"{PAGE}/verification", bad, of=page, form=form, expect=422)
        assert refused.words_of("#f-document_number-error") != []
        await person.send(f"{PAGE}/verification", PAPERS, of=page, form=form)
        waiting = await person.open(PAGE)
        assert ("submitted" in waiting.find("#verification"), waiting.tree.css(form)) == (True, [])
        note = {"verdict": "rejected", "note": "The licence has expired."}
        await api.post(f"/customers/{customer.id}/verification/decide", note)
        rejected = await person.open(PAGE)
        assert ("The licence has expired." in rejected.text, rejected.tree.css(form) != []) == (True, True)
        assert PAPERS["document_number"] not in rejected.response.text


async def test_everything_is_taken_along_and_then_deleted_with_proof_once_the_name_is_typed(
    api: Api, system: System, clock: ManualClock
) -> None:
    customer = await make_ready_customer(api)
    name = (await api.get(f"/customers/{customer.id}"))["name"]
    async with sign_in_customer(api, customer.id) as person:
        page = await person.open(PAGE)
        taken = await person.http.get(f"{PAGE}/export.zip")
        with zipfile.ZipFile(io.BytesIO(taken.content)) as archive:
            assert {f"datasets/{customer.dataset['id']}.tar", "manifest.sig"} <= {*archive.namelist()}
        path, form = f"{PAGE}/deletions", "#leave-form"
        refused = await person.send(path, {"confirm": name.lower() + "?"}, of=page, form=form, expect=422)
        assert "is not the customer's name" in refused.find("#f-confirm-error")
        assert await api.get(f"/datasets/{customer.dataset['id']}")
        sent = await person.send(path, {"confirm": name}, of=page, form=form)
        proof = sent.response.headers["location"]
        assert "0 of 1 files are gone" in (await person.open(proof)).find("#proof")
        clock.advance(days=3)
        await sweep(system)
    async with sign_in_customer(api, customer.id) as person:
        gone = await person.open(proof)
        assert "Every file is gone." in gone.find("#proof")
        assert customer.dataset["id"] in gone.find("#entries tbody tr")
        told = (await person.http.get(f"{proof}/proof.json")).json()
        assert (told["signature"] in gone.text, told["is_complete"]) == (True, True)
        assert (await person.open(PAGE)).attributes("#deletions tbody a", "href") == [proof]

"""Money of a refund that comes back on a statement is counted once, whichever of the two was told first."""

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from broker.payments.coming_back import BroughtBy, SentMoney, find_brought
from broker.payments.model import Payer
from broker.system import System
from pricing.money import Money
from tests.broker.factories import Api
from tests.broker.payments.receipts import import_lines, line, make_debtor
from tests.broker.payments.test_claiming import read_credit
from tests.broker.payments.test_receiving import read_house
from tests.broker.running_jobs import broken_rules

WAY = {"taken_from": "credit", "method": "bank_transfer", "reason": "Asked for", "amount": "60.00"}
FAILED = {"reason": "Account closed"}
SENT = SentMoney("ref_1", Money.from_decimal("60"), "6222", "B77001", date(2026, 11, 10))


@pytest.mark.parametrize(
    ("amount", "day", "account", "remark", "may_be"),
    [
        ("60", 10, "", "转账退汇", True),
        ("60", 12, "", "交易 B77001 未入账", True),
        ("60", 12, "6222", "", True),
        ("60", 12, "6223", "货款", False),
        ("61", 12, "6222", "退汇", False),
        ("60", 9, "6222", "退汇", False),
    ],
)
def test_money_that_may_have_come_back_is_known_by_amount_day_and_a_word(
    amount: str, day: int, account: str, remark: str, may_be: bool
) -> None:
    told = Money.from_decimal(amount), BroughtBy(date(2026, 11, day), Payer(account=account), remark)
    assert SENT.may_be(*told) == may_be
    assert not replace(SENT, sent_on=date(2026, 10, 1)).may_be(*told), "later than banks take"


@pytest.mark.parametrize(
    ("amount", "account", "remark", "found"),
    [
        ("60", "", "退汇", [("ref_1",)]),
        ("100", "", "退汇两笔", [("ref_1", "ref_2")]),
        ("100", "6222", "", [("ref_1", "ref_2")]),
        ("100", "", "货款", []),
        ("110", "", "退汇", []),
        ("105", "", "退汇", [("ref_1", "ref_2", "ref_3")]),
    ],
)
def test_one_line_may_bring_back_what_several_refunds_sent(
    amount: str, account: str, remark: str, found: list[tuple[str, ...]]
) -> None:
    others = [
        replace(SENT, refund_id=name, amount=Money.from_decimal(much))
        for name, much in [("ref_2", "40"), ("ref_3", "5")]
    ]
    late = replace(SENT, refund_id="ref_4", amount=Money.from_decimal("50"), sent_on=date(2026, 11, 30))
    told = BroughtBy(date(2026, 11, 12), Payer(account=account), remark)
    brought = find_brought([SENT, *others, late], Money.from_decimal(amount), told)
    assert [tuple(each.refund_id for each in together) for together in brought] == found


async def send_refund(api: Api) -> tuple[Any, str]:
    """Send 60.00 of a credit of 100.00 to an account; answers the debtor, and the refund's id."""
    debtor = await make_debtor(api)
    await import_lines(api, line("2700.00", debtor.reference))
    asked = WAY | {"contract_id": debtor.contract_id, "payee": {"name": "Tea", "account": "6222"}}
    refund = await api.post("/refunds", asked, expect=201)
    await api.post(f"/refunds/{refund['id']}/send", {"bank_reference": "B77001"})
    return debtor, refund["id"]


async def import_return(api: Api) -> str:
    """Import the line by which it comes back: it matches nothing, and says which refund it may be of."""
    back = line("60.00", "退汇 B77001", value_on="2026-11-10", payer_account="9900")
    ((told),) = (await import_lines(api, back))["lines"]
    assert told["outcome"] == "unmatched"
    return str(told["payment_id"])


async def check_counted_once(api: Api, system: System, debtor: Any, refund_id: str, payment: str) -> None:
    refund = await api.get(f"/refunds/{refund_id}")
    assert (refund["status"], refund["came_back_id"]) == ("failed", payment)
    assert (await api.get(f"/payments/{payment}"))["status"] == "returned"
    assert await read_house(api) == {"cash": "2700.00"}
    assert await read_credit(api, debtor) == "-100.00"
    assert await broken_rules(system) == {}


async def test_the_line_is_told_first(api: Api, system: System) -> None:
    debtor, refund_id = await send_refund(api)
    payment = await import_return(api)
    assert refund_id in (await api.get(f"/payments/{payment}"))["reason"]
    refused = await api.post(f"/refunds/{refund_id}/fail", FAILED, expect=422)
    assert (refused["errors"][0]["field"], payment in refused["errors"][0]["message"]) == ("payment_id", True)
    await api.post(f"/refunds/{refund_id}/fail", FAILED | {"payment_id": payment})
    await check_counted_once(api, system, debtor, refund_id, payment)
    await api.post(f"/refunds/{refund_id}/fail", FAILED | {"payment_id": payment}, expect=409)


async def test_the_failure_is_told_first(api: Api, system: System) -> None:
    debtor, refund_id = await send_refund(api)
    await api.post(f"/refunds/{refund_id}/fail", FAILED)
    payment = await import_return(api)
    assert await read_house(api) == {"cash": "2760.00", "unmatched_receipts": "-60.00"}, "twice, until it is told"
    await api.post(f"/refunds/{refund_id}/fail", FAILED | {"payment_id": payment})
    await check_counted_once(api, system, debtor, refund_id, payment)


async def test_a_line_that_the_bank_took_back_itself_brings_no_other(api: Api, system: System) -> None:
    debtor, refund_id = await send_refund(api)
    await import_return(api)
    await api.post(f"/refunds/{refund_id}/fail", FAILED | {"reversed": True})
    assert (await read_house(api))["cash"] == "2760.00", "the line is another's money"
    assert await read_credit(api, debtor) == "-100.00"
    assert await broken_rules(system) == {}


async def test_what_cannot_have_brought_it_back_is_told_by_its_field(api: Api) -> None:
    _debtor, refund_id = await send_refund(api)
    small = (await import_lines(api, line("59.99")))["lines"][0]["payment_id"]
    refused = await api.post(f"/refunds/{refund_id}/fail", FAILED | {"payment_id": small}, expect=422)
    assert refused["errors"][0]["field"] == "payment_id"
    await api.post(f"/refunds/{refund_id}/fail", FAILED | {"payment_id": "pay_none"}, expect=404)
    assert (await api.get(f"/refunds/{refund_id}"))["status"] == "sent"


async def test_one_line_that_brings_two_refunds_back_is_counted_once(api: Api, system: System) -> None:
    debtor, first = await send_refund(api)
    asked = WAY | {"amount": "40.00", "contract_id": debtor.contract_id, "payee": {"name": "Tea", "account": "6222"}}
    second = (await api.post("/refunds", asked, expect=201))["id"]
    await api.post(f"/refunds/{second}/send", {"bank_reference": "B77002"})
    back = line("100.00", "退汇两笔", value_on="2026-11-10", payer_account="9900")
    payment = (await import_lines(api, back))["lines"][0]["payment_id"]
    reason = (await api.get(f"/payments/{payment}"))["reason"]
    assert f"{first} and {second}" in reason
    for refund_id, left in ((first, "-60.00"), (second, "-100.00")):
        refused = await api.post(f"/refunds/{refund_id}/fail", FAILED, expect=422)
        assert payment in refused["errors"][0]["message"], "the second is asked for the rest of the line, too"
        await api.post(f"/refunds/{refund_id}/fail", FAILED | {"payment_id": payment})
        assert await read_credit(api, debtor) == left
    told = await api.get(f"/payments/{payment}")
    assert told["status"] == "returned"
    assert first in told["reason"]
    assert second in told["reason"]
    assert await read_house(api) == {"cash": "2700.00"}
    assert await broken_rules(system) == {}

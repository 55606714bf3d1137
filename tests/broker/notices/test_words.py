"""Notices are worded in both languages, whatever is told of, with what is owed and how to pay."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest

from broker.contracts.keeping.events import ContractEventKind
from broker.notices.model import Happening, Language
from broker.notices.words import TELLINGS, word

ARREARS: dict[str, Any] = {"owed": "4200.00", "until": "2026-12-15", "deletion_on": None, "invoices": ["INV-2026-1"]}
FACTS: dict[str, dict[str, Any]] = {
    "arrears_changed": ARREARS | {"state": "grace"},
    "arrears_extended": {"until": "2026-12-20", "kind": "promise_to_pay"},
    "invoice_issued": {"number": "INV-2026-1", "total": "4200.00", "due_on": "2026-12-31", "reference": "RF18INV"},
    "invoice_reminded": {
        "number": "INV-2026-1",
        "owed": "10.00",
        "due_on": "2026-12-07",
        "days_overdue": 1,
        "reference": "RF18INV",
    },
    "money_ending": {"days_left": 3},
    "grant_expiring": {"days": 7, "grant_id": "gra_1", "expires_at": "2026-12-31T00:00:00+00:00"},
    "budget_used": {"percent": 80, "month": "2026-11", "budget": "100.00", "used": "80.00"},
    "end_near": {"days": 7, "ends_at": "2026-12-31T00:00:00+00:00"},
    "payment_credited": {"amount": "10.00"},
    "invoice_voided": {"number": "INV-2026-1", "amount": "10.00", "reason": "Billed to the wrong company"},
    "grant_paid": {"grant_id": "gra_1"},
    "webhook_disabled": {"name": "CI", "url": "https://example.com/hooks", "disabled_for": "failing"},
}
OF_NO_CONTRACT = {"webhook_disabled"}


def tell(kind: str, facts: dict[str, Any], language: Language) -> str:
    contract_id = None if kind in OF_NO_CONTRACT else "con_1"
    happening = Happening("coe_1", "cus_1", contract_id, kind, facts, datetime(2026, 12, 8, tzinfo=UTC))
    words = word(happening, language)
    return f"{words.title}\n{words.body}"


@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize("kind", TELLINGS)
def test_every_kind_is_worded(kind: str, language: Language) -> None:
    told = tell(kind, FACTS[kind], language)
    assert ("con_1" in told) == (kind not in OF_NO_CONTRACT)
    assert any("\u4e00" <= character <= "\u9fff" for character in told) == (language == Language.ZH)


@pytest.mark.parametrize("kind", TELLINGS)
def test_no_english_sentence_is_left_in_a_chinese_notice(kind: str) -> None:
    facts = FACTS[kind] | ({"reason": "开错单位"} if "reason" in FACTS[kind] else {})
    assert re.findall(r"[A-Za-z]{2,}(?: [A-Za-z]{2,}){2,}", tell(kind, facts, Language.ZH)) == []


def test_kinds_are_those_that_features_record() -> None:
    assert set(TELLINGS) - {"invoice_issued", *OF_NO_CONTRACT} <= {kind.value for kind in ContractEventKind}


@pytest.mark.parametrize("state", ["current", "grace", "suspended", "retention", "closed"])
def test_a_change_of_state_tells_what_is_owed_until_when_and_how_to_pay(state: str) -> None:
    facts = ARREARS | {"state": state, "deletion_on": "2027-01-30" if state == "retention" else None}
    zh, en = (tell("arrears_changed", facts, language) for language in (Language.ZH, Language.EN))
    is_owed = state != "current"
    assert ("4200.00" in zh, "4200.00" in en, "INV-2026-1" in en) == (is_owed, is_owed, is_owed)
    assert ("附言" in zh, "references" in en) == (is_owed, is_owed)
    if state == "retention":
        assert ("2027-01-30" in zh, "2027-01-30" in en) == (True, True)

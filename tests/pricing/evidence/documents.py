"""A small invoice with everything that evidence tells, by hand, and how to seal it."""

import copy
import json
from collections.abc import Callable
from typing import Any

from pricing.evidence.sealing import seal_evidence
from pricing.evidence.verify import Verdict, verify_evidence
from pricing.rate_card import load_rate_cards

CARD = load_rate_cards()["2026-01-01"]
AT = "2026-11-{day:02d}T08:00:00Z"


def interval(sequence: int, gpu_seconds: int, tokens: int = 0, **fields: Any) -> dict[str, Any]:
    told = {
        "sequence": sequence,
        "source": "/runs/run_1",
        "event_id": f"run_1/{sequence}",
        "corrects": None,
        "started_at": AT.format(day=sequence + 1),
        "ended_at": AT.format(day=sequence + 2),
        "gpu_seconds": gpu_seconds,
        "tokens": tokens,
        "labels": {},
    }
    return told | fields


def charge(number: int, first: int, last: int, quantity: int, **fields: Any) -> dict[str, Any]:
    told = {
        "id": number,
        "job_id": "job_1",
        "run_id": "run_1",
        "first": first,
        "last": last,
        "meter": "gpu_seconds",
        "quantity": quantity,
        "unit_price": "6.8",
        "billable": True,
        "cause": None,
        "rate_card_version": CARD.version,
        "plan": "on_demand",
        "grant_id": None,
        "used_month": "2026-11",
        "corrects": None,
        "corrects_month": None,
        "added_by": None,
    }
    return told | fields


def line(position: int, amount: str, quantity: int | None = None, **fields: Any) -> dict[str, Any]:
    told = {
        "position": position,
        "kind": "usage",
        "description": "what for",
        "job_id": "job_1",
        "project_id": None,
        "meter": "gpu_seconds",
        "quantity": quantity,
        "unit_price": "6.8",
        "rate_card_version": CARD.version,
        "used_month": "2026-11",
        "billable": True,
        "leads": False,
        "amount": amount,
        "basis": None,
    }
    return told | fields


NO_USE = {"job_id": None, "meter": None, "unit_price": None, "rate_card_version": None, "used_month": None}
GIFT = {"unit_price": "5.2", "plan": None, "grant_id": "gra_1", "billable": False}
DOCUMENT: dict[str, Any] = {
    "object": "invoice_evidence",
    "format": 1,
    "invoice": {
        "id": "inv_1",
        "number": "INV-2026-000001",
        "kind": "usage",
        "month": "2026-11",
        "customer_id": "cus_1",
        "contract_id": "con_1",
        "contract_number": "HT-1",
        "plan": "on_demand",
        "currency": "CNY",
        "tax_mode": "on_top",
        "tax_rate": "0.06",
        "tax": "0.58",
        "total": "10.17",
        "finalized_at": "2026-12-01T00:00:00Z",
    },
    "rate_cards": [{"card": CARD.to_json_dict()}],
    "grants": [{"id": "gra_1", "kind": "promotional", "meter": "gpu_seconds", "unit_price": "5.2", "advance": False}],
    "lines": [
        line(1, "5.20", 3600, unit_price="5.2", billable=False),
        line(2, "-5.20", 3600, kind="advance", unit_price="5.2", billable=False),
        line(3, "6.80", 3600),
        line(4, "2.79", 23250, meter="tokens", unit_price="0.00012"),
        line(5, "0.00", 1200, kind="borne", unit_price=None, basis={"cause": "machine_lost"}),
        line(6, "0.58", kind="tax", **NO_USE),
    ],
    "charges": [
        charge(1, 0, 1, 3600, **GIFT),
        charge(2, 0, 1, 3600),
        charge(3, 0, 1, 23250, meter="tokens", unit_price="0.00012"),
        charge(4, 2, 2, 1200),
        charge(5, 2, 2, -1200, corrects=4, corrects_month="2026-11"),
        charge(6, 2, 2, 1200, corrects=4, corrects_month="2026-11", cause="machine_lost", billable=False),
    ],
    "runs": [
        {
            "run_id": "run_1",
            "job_id": "job_1",
            "gpu_type": "cpu",
            "intervals": [interval(0, 4000, 23250), interval(1, 3200, labels={"team": "search"}), interval(2, 1200)],
        }
    ],
}


def write(document: dict[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=False).encode()


def sealed() -> dict[str, Any]:
    return seal_evidence(copy.deepcopy(DOCUMENT))


def verify(document: dict[str, Any], **options: Any) -> Verdict:
    return verify_evidence(write(document), known_cards=load_rate_cards(), **options)


def resealed(change: Callable[[dict[str, Any]], object]) -> Verdict:
    """Change the document before it is sealed: who forges it makes all hashes anew."""
    document = copy.deepcopy(DOCUMENT)
    change(document)
    return verify(seal_evidence(document))

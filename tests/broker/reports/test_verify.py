"""Each rule of `broker ledger verify` is broken once, by the tables' owner with every guard off: only it is found."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from broker.persistence.pool import with_driver
from broker.processes.boot import DatabaseUrls
from broker.reports.verify import CHECKS, verify_ledger
from broker.system import System
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api, Customer, make_ready_customer
from tests.broker.payments.receipts import import_lines, line
from tests.broker.running_jobs import HOUR, broken_rules, report_usage, settle, start_job

HELD_GPU = "kind = 'held' AND unit = 'gpu_seconds'"
USED_GPU = "kind = 'used' AND unit = 'gpu_seconds'"
OTHER_LEG = "(SELECT max(id) FROM hold_legs WHERE unit = 'gpu_seconds')"
ADD_ENTRY = "INSERT INTO ledger_entries (customer_id, transfer_id, debit_account_id, credit_account_id, unit, amount)"
ADD_BORNE = (
    "INSERT INTO ledger_accounts"
    " (id, customer_id, contract_id, unit, kind, cause, may_go_negative, may_go_positive, balance)"
)
CAUSES = "(VALUES ('preempted', 7), ('machine_lost', -7)) AS causes (cause, quantity)"
OF_USED = f"FROM ledger_accounts WHERE {USED_GPU}"
OF_CAUSES = f"FROM ledger_accounts, {CAUSES} WHERE {USED_GPU}"
BORNE = "'acc_' || causes.cause, customer_id, contract_id, unit, 'borne', causes.cause, true, true, quantity"
SMALLEST_LINE = "(SELECT id FROM invoice_lines WHERE amount_micros < 20000 ORDER BY amount_micros LIMIT 1)"
ENDED = "(SELECT id FROM holds WHERE state = 'settled')"
TRANSFER = "(SELECT min(id) FROM ledger_transfers WHERE kind = 'hold_placed')"
ADD_UP_AGAIN = (
    "DELETE FROM usage_rollups",
    """INSERT INTO usage_rollups (hour, contract_id, project_id, job_id, source, gpu_type, labels, customer_id,
                                  gpu_seconds, tokens, events)
       SELECT date_trunc('hour', ended_at, 'UTC'), contract_id, '', job_id, '', coalesce(gpu_type, ''), labels,
              customer_id, sum(gpu_seconds), sum(tokens), count(*) FROM usage_events GROUP BY 1, 2, 3, 4, 5, 6, 7, 8""",
)
FIRST = "(SELECT min(id) FROM captures WHERE unit = 'gpu_seconds')"
LEG_OF_FIRST = f"(SELECT leg_id FROM captures WHERE id = {FIRST})"
SECOND = f"(SELECT min(id) FROM captures WHERE leg_id = {LEG_OF_FIRST} AND id > {FIRST})"
COPIED = (
    "customer_id, contract_id, job_id, run_id, first_sequence, last_sequence, leg_id, grant_id, unit, unit_price,"
    " borne, cause, billable, rate_card_version, month, used_month, created_at"
)
# A correction that is a copy of the first capture but for its quantity, and says that it corrects this one or another.
COPY_CAPTURE = (
    f"INSERT INTO captures ({COPIED}, quantity, corrects_id)"
    f" SELECT {COPIED}, {{quantity}}, {{of}} FROM captures WHERE id = {FIRST}"
)

LEG_OF_NOTHING = """
    INSERT INTO hold_legs (id, customer_id, hold_id, position, unit, account_id, unit_price, borne, extends, billable,
                           held, captured, released, compensated)
    SELECT 'leg_x', customer_id, 'hol_x', 0, unit, account_id, unit_price, borne, extends, billable, 0, 0, 0, 0
    FROM hold_legs WHERE position = 0 LIMIT 1
"""
LINE_OF_NOTHING = """
    INSERT INTO invoice_lines (customer_id, invoice_id, position, kind, description, grants, overage, amount_micros)
    SELECT customer_id, 'inv_x', 1, 'tax', 'x', '[]', 0, 0 FROM invoice_lines LIMIT 1
"""
OF_EVENT, OF_JOB = "job_id, kind, data, created_at", "id, 'queued', '{}', created_at"
OF_NO_JOB = "'job_x', 'queued', '{}', created_at"

CORRECT_A_CLOSED_MONTH = f"""
    INSERT INTO rate_corrections (customer_id, contract_id, job_id, month, corrected_month, used_month, unit,
                                  unit_price, billable, rate_card_version, quantity, amount_micros, created_at)
    SELECT customer_id, contract_id, job_id, '2026-12', month, used_month, unit, unit_price,
           billable, rate_card_version, 1, 0, created_at
    FROM captures WHERE id = {FIRST}
"""
CREDIT_A_LINE_TWICE = (
    """UPDATE rate_lines r SET credited_micros = l.amount_micros + 10000
       FROM invoice_lines l JOIN invoices i ON i.id = l.invoice_id
       WHERE i.kind = 'usage' AND l.kind = 'usage' AND r.month = i.month AND r.billable
         AND (r.job_id, r.unit, r.unit_price) = (l.job_id, l.meter, l.unit_price)
         AND l.quantity = (SELECT max(quantity) FROM invoice_lines WHERE meter = 'tokens')""",
)


@dataclass(frozen=True)
class Damage:
    """Statements that break one rule, and the words by which the rule is known."""

    rule: str
    statements: tuple[str, ...]


def move_balance(
    where: str, amount: int, *, source: str = "kind = 'uncommitted' AND unit = 'gpu_seconds'"
) -> tuple[str, ...]:
    """Change a balance and its entries alike, out of nowhere else than the same contract's source."""
    both = f"(SELECT * FROM ledger_accounts WHERE {where}) a, (SELECT id FROM ledger_accounts WHERE {source}) s"
    return (
        f"{ADD_ENTRY} SELECT a.customer_id, {TRANSFER}, a.id, s.id, a.unit, {amount} FROM {both}",
        f"UPDATE ledger_accounts SET balance = balance + {amount} WHERE {where}",
        f"UPDATE ledger_accounts SET balance = balance - {amount} WHERE {source}",
    )


# A refund of more than was paid, which another transfer takes back so that the balances stay as they are.
ADVANCE = "FROM invoices i JOIN grants g ON g.invoice_id = i.id WHERE i.kind = 'advance'"
OWED = "'acc_owed', customer_id, id, 'micro_yuan', 'refunds', NULL, true, false, 0"
BETWEEN = "(SELECT id FROM ledger_accounts WHERE kind = 'deferred_revenue')"
REFUND_TOO_MUCH = (
    f"{ADD_BORNE} SELECT {OWED} FROM contracts",
    f"""INSERT INTO ledger_transfers (id, customer_id, contract_id, kind, reference, created_at)
        SELECT 'tra_refund', g.customer_id, g.contract_id, 'grant_refunded', g.id, now() {ADVANCE}""",
    f"{ADD_ENTRY} SELECT customer_id, 'tra_refund', {BETWEEN}, 'acc_owed', 'micro_yuan', 2600010000 FROM contracts",
    f"{ADD_ENTRY} SELECT customer_id, {TRANSFER}, 'acc_owed', {BETWEEN}, 'micro_yuan', 2600010000 FROM contracts",
)

FAPIAO_LINE = '[{"net": "10", "tax": "0"}]'
RED_LINE = '[{"net": "-10", "tax": "0"}]'
ADD_FAPIAO = (
    "INSERT INTO fapiao (id, customer_id, status, kind, title, amount_micros, tax_rate, tax_micros, lines, capitals,"
    " number, issued_on, red_of_id, author, created_at)"
    " SELECT '{id}', {customer}, '{status}', 'general', '{{}}', {sign}10000000, 0, 0, '{lines}', '', {number},"
    " {issued_on}, {red_of}, 'key_x', now() FROM customers LIMIT 1"
)
REQUESTED = {"number": "NULL", "issued_on": "NULL", "red_of": "NULL", "sign": "", "lines": FAPIAO_LINE}
BLUE = {"id": "fap_x", "customer": "id", "status": "requested", **REQUESTED}
RED = BLUE | {"id": "fap_y", "red_of": "'fap_x'", "sign": "-", "lines": RED_LINE}
REQUESTED_STEP, ISSUED_STEP, RED_STEP = (
    ("requested", "drawn", "requested"),
    ("issued", "requested", "issued"),
    ("taken_back", "issued", "drawn"),
)


def book_fapiao(fapiao_id: str, *steps: tuple[str, str, str]) -> tuple[str, ...]:
    """Book steps of a fapiao that a statement has added, so that only its rows are at fault."""
    return tuple(statement for step in steps for statement in _book_step(fapiao_id, *step))


def _book_step(fapiao_id: str, step: str, credit: str, debit: str) -> Iterator[str]:
    transfer = f"tra_{fapiao_id}_{step}"
    for kind, sign in ((credit, "-"), (debit, "")):
        yield f"""INSERT INTO ledger_accounts
                      (id, customer_id, unit, kind, may_go_negative, may_go_positive, balance)
                  SELECT 'acc_{kind}', id, 'micro_yuan', 'fapiao_{kind}', true, true, {sign}10000000
                  FROM customers LIMIT 1
                  ON CONFLICT (id) DO UPDATE SET balance = ledger_accounts.balance + excluded.balance"""
    yield f"""INSERT INTO ledger_transfers (id, customer_id, kind, reference, created_at)
              SELECT '{transfer}', id, 'fapiao_{step}', '{fapiao_id}', now() FROM customers LIMIT 1"""
    yield f"{ADD_ENTRY} SELECT id, '{transfer}', 'acc_{debit}', 'acc_{credit}', 'micro_yuan', 10000000 FROM customers"


RETURNED = "(SELECT id FROM payments WHERE returned_micros > 0)"
UNDONE = "(SELECT 'tra_' || split_part(id, '_', 2) || 'u' FROM payment_allocations WHERE undone_at IS NOT NULL)"
HOUSE_REFUNDS = "kind = 'refunds' AND contract_id IS NULL"
ADD_REFUND_STEP = """
    INSERT INTO stripe_steps (customer_id, object_id, step, kind, params, state, key_number, must_search, failures,
                              not_before, created_at)
    SELECT c.id, r.id, 'refund', 'refund', '{"body": {"amount": "1"}}', 'waiting', 1, false, 0, now(), now()
    FROM refunds r, customers c LIMIT 1
"""

DAMAGES = (
    Damage(
        "an entry is of a transfer",
        (f"UPDATE ledger_entries SET transfer_id = 'tra_x' WHERE transfer_id = {TRANSFER}",),
    ),
    Damage(
        "an entry is between two accounts",
        (f"{ADD_ENTRY} SELECT customer_id, {TRANSFER}, 'acc_x', 'acc_y', unit, 7 {OF_USED}",),
    ),
    Damage(
        "an entry is in the unit and of the customer of both of its accounts",
        (
            "INSERT INTO customers (id, name, created_at) VALUES ('cus_x', 'Somebody else', now())",
            "UPDATE ledger_entries SET customer_id = 'cus_x' WHERE id = (SELECT min(id) FROM ledger_entries)",
        ),
    ),
    Damage("a leg is of a hold", (LEG_OF_NOTHING,)),
    Damage(
        "a leg is of the customer of its hold",
        ("UPDATE hold_legs SET customer_id = 'cus_x' WHERE id = (SELECT min(id) FROM hold_legs)",),
    ),
    Damage(
        "a leg comes from an account in its unit",
        ("UPDATE hold_legs SET account_id = 'acc_x' WHERE id = (SELECT min(id) FROM hold_legs)",),
    ),
    Damage(
        "a job is of a data set, a quote and a queue that there are",
        ("UPDATE jobs SET quote_id = 'quo_x'",),
    ),
    Damage(
        "an event is of a job",
        (f"INSERT INTO job_events (customer_id, {OF_EVENT}) SELECT customer_id, {OF_NO_JOB} FROM jobs",),
    ),
    Damage(
        "an event is of the customer of its job",
        (f"INSERT INTO job_events (customer_id, {OF_EVENT}) SELECT 'cus_x', {OF_JOB} FROM jobs",),
    ),
    Damage(
        "a capture is of the customer and the contract of its hold",
        ("UPDATE captures SET customer_id = 'cus_x' WHERE id = (SELECT min(id) FROM captures)",),
    ),
    Damage(
        "a balance is the sum of its entries",
        ("UPDATE ledger_accounts SET balance = balance + 1 WHERE kind = 'granted'",),
    ),
    Damage(
        "no account is oversold, and no more is spent of what the house owes than there is",
        ("UPDATE ledger_accounts SET may_go_negative = false WHERE kind = 'uncommitted' AND unit = 'gpu_seconds'",),
    ),
    Damage("what is held is what the open legs of placed holds hold", move_balance(HELD_GPU, 7)),
    Damage(
        "a hold that has ended holds nothing: captured + released = held",
        (
            "UPDATE holds SET state = 'settled' WHERE state = 'placed'",
            "UPDATE jobs SET status = 'succeeded'",
        ),
    ),
    Damage("what is used, or borne, is what the legs captured", move_balance(USED_GPU, 7)),
    Damage(
        "what is borne for a cause is what its captures say",
        (
            f"{ADD_BORNE} SELECT {BORNE} {OF_CAUSES}",
            f"{ADD_ENTRY} SELECT customer_id, {TRANSFER}, 'acc_preempted', 'acc_machine_lost', unit, 7 {OF_USED}",
        ),
    ),
    Damage(
        "a metered leg captured what its captures say",
        (f"UPDATE captures SET leg_id = {OTHER_LEG} WHERE first_sequence = 1 AND unit = 'gpu_seconds'",),
    ),
    Damage(
        "every usage event is charged once and whole",
        ("UPDATE usage_events SET tokens = tokens + 1 WHERE sequence = 0 AND tokens > 0", *ADD_UP_AGAIN),
    ),
    Damage(
        "nothing is charged without a usage event",
        (
            "DELETE FROM usage_events WHERE sequence = 1",
            "DELETE FROM usage_event_keys WHERE event_id LIKE '%/1'",
            *ADD_UP_AGAIN,
        ),
    ),
    Damage(
        "every usage event that was accepted is rated or in quarantine: its key is there once",
        ("DELETE FROM usage_event_keys WHERE event_id LIKE '%/1'",),
    ),
    Damage(
        "usage is added up by the hour as its events are",
        ("UPDATE usage_rollups SET tokens = tokens + 1",),
    ),
    Damage(
        "what is summed up by price, for each job and in all, is what was captured",
        ("UPDATE rate_segments SET quantity = quantity + 1 WHERE unit = 'tokens'",),
    ),
    Damage(
        "what an open month takes back of a closed one is what was taken back of its captures",
        (CORRECT_A_CLOSED_MONTH,),
    ),
    Damage(
        "a correction takes back no more than was charged",
        (
            COPY_CAPTURE.format(quantity="-quantity - 1", of=FIRST),
            COPY_CAPTURE.format(quantity="quantity + 1", of=SECOND),
        ),
    ),
    Damage(
        "at most one line leads a rate segment",
        ("UPDATE rate_lines SET leads = true",),
    ),
    Damage(
        "money captured is the price of what was captured, rounded once a job for what is paid and for what is borne",
        (f"UPDATE hold_legs SET unit_price = unit_price * 2 WHERE unit = 'tokens' AND hold_id IN {ENDED}",),
    ),
    Damage(
        "no customer is charged more for a job than its cap",
        ("UPDATE jobs SET cap_micros = 1000000 WHERE status = 'running'",),
    ),
    Damage(
        "a job that has ended holds nothing",
        ("UPDATE jobs SET status = 'failed' WHERE status = 'running'",),
    ),
    Damage(
        "a run that ended by our doing is charged for nothing after its last durable checkpoint",
        ("UPDATE runs SET cause = 'machine_lost', status = 'lost' WHERE status = 'running'",),
    ),
    Damage(
        "what is told of a run's lost work is what its captures bear of it, cause by cause",
        (
            (
                "INSERT INTO lost_work (customer_id, job_id, run_id, cause, gpu_seconds, tokens, created_at)"
                " SELECT customer_id, job_id, id, 'machine_lost', 1, 0, now() FROM runs LIMIT 1"
            ),
        ),
    ),
    Damage(
        "what the house bears of a job is what its captures say",
        ("UPDATE jobs SET borne_tokens = borne_tokens + 1 WHERE status = 'running'",),
    ),
    Damage(
        "a job used what its runs used",
        ("UPDATE jobs SET used_tokens = used_tokens + 1 WHERE status = 'running'",),
    ),
    Damage(
        "a grant is credited once and whole, when it is activated",
        ("UPDATE ledger_transfers SET kind = 'usage_captured' WHERE kind = 'grant_credited'",),
    ),
    Damage(
        "a line is of the customer of its invoice",
        ("UPDATE invoice_lines SET customer_id = 'cus_x' WHERE kind = 'commitment'",),
    ),
    Damage("a line is of an invoice", (LINE_OF_NOTHING,)),
    Damage(
        "an invoice is the sum of its lines",
        ("UPDATE invoice_lines SET amount_micros = amount_micros + 10 WHERE kind = 'commitment'",),
    ),
    Damage(
        "a line of an invoice is the price of what it bills, to less than a fen; of what it takes back, to two",
        ("UPDATE invoice_lines SET quantity = quantity + 3600 WHERE kind = 'commitment'",),
    ),
    Damage(
        "a final invoice bills what its month captured, and takes off what an advance has paid",
        ("UPDATE invoice_lines SET quantity = quantity - 1 WHERE kind = 'advance'",),
    ),
    Damage(
        "what a final invoice asks for, and the tax in it, is booked once and whole",
        ("UPDATE invoices SET tax_micros = tax_micros + 10000 WHERE kind = 'usage'",),
    ),
    Damage(
        "a void invoice for usage is credited whole, of which nothing was paid, and was told as void",
        ("UPDATE invoices SET status = 'void' WHERE kind = 'usage' AND status = 'open'",),
    ),
    Damage(
        "an invoice that was told as void is void",
        (
            """INSERT INTO contract_events (id, customer_id, contract_id, kind, occasion, data, created_at)
               SELECT 'coe_x', customer_id, contract_id, 'invoice_voided', id, '{}', now() FROM invoices
               WHERE kind = 'usage' AND status = 'open'""",
        ),
    ),
    Damage(
        "what was paid of an invoice came in, or was a credit",
        ("UPDATE invoices SET paid_micros = paid_micros + 10000 WHERE kind = 'advance'",),
    ),
    Damage(
        "what a customer owes is what is due of its final invoices",
        move_balance("kind = 'receivable'", 10_000, source="kind = 'cash' AND contract_id IS NOT NULL"),
    ),
    Damage(
        "what final invoices take off for grants is earned of advances, or what gifts cost",
        ("UPDATE ledger_transfers SET kind = 'usage_captured' WHERE kind = 'advance_earned'",),
    ),
    Damage(
        "what is deferred of a grant's advance is the price of what is not earned of it",
        move_balance("kind = 'revenue'", 30_000, source="kind = 'deferred_revenue'"),
    ),
    Damage(
        "a credit note is the sum of its lines, with the tax on top of them",
        ("UPDATE credit_note_lines SET amount_micros = amount_micros + 10000",),
    ),
    Damage(
        "no more is credited of a line than it bills",
        (f"UPDATE credit_note_lines SET invoice_line_id = {SMALLEST_LINE}",),
    ),
    Damage(
        "credit notes, write-offs and corrections give back no more of a month's line than it asks for",
        CREDIT_A_LINE_TWICE,
    ),
    Damage(
        "what is credited and written off of an invoice is what its credit notes and adjustments say",
        ("UPDATE invoices SET credited_micros = 30000, written_off_micros = 0 WHERE kind = 'usage'",),
    ),
    Damage("credit notes and refunds of an advance give back no more than was paid", REFUND_TOO_MUCH),
    Damage(
        "a credit note is booked once and whole, with its tax",
        ("UPDATE ledger_transfers SET kind = 'usage_captured' WHERE kind = 'credited'",),
    ),
    Damage(
        "an adjustment is booked once and whole",
        ("UPDATE adjustments SET quantity = quantity + 1 WHERE kind = 'credit'",),
    ),
    Damage(
        "a fapiao has a number and a day from its issue on, and its amount is that of its lines",
        (ADD_FAPIAO.format_map(BLUE | {"status": "issued"}), *book_fapiao("fap_x", REQUESTED_STEP, ISSUED_STEP)),
    ),
    Damage(
        "red fapiao take back no more than the issued one that they name, and are its customer's",
        (
            ADD_FAPIAO.format_map(BLUE),
            ADD_FAPIAO.format_map(RED),
            *book_fapiao("fap_x", REQUESTED_STEP),
            *book_fapiao("fap_y", RED_STEP),
        ),
    ),
    Damage(
        "a customer's fapiao are of no more than its final invoices had asked for when each was requested",
        (
            ADD_FAPIAO.format_map(BLUE),
            "UPDATE fapiao SET created_at = '2000-01-01'",
            *book_fapiao("fap_x", REQUESTED_STEP),
        ),
    ),
    Damage(
        "a fapiao is booked step by step, each once and whole, and nothing is booked without one",
        (
            ADD_FAPIAO.format_map(BLUE),
            *book_fapiao("fap_x", REQUESTED_STEP),
            "UPDATE ledger_transfers SET reference = 'fap_z' WHERE kind = 'fapiao_requested'",
        ),
    ),
    Damage(
        "the books have of each customer's fapiao what the fapiao say: requested, issued, and drawn in all",
        (
            ADD_FAPIAO.format_map(BLUE),
            *book_fapiao("fap_x", REQUESTED_STEP),
            *move_balance("kind = 'fapiao_requested'", 7, source="kind = 'fapiao_drawn'"),
        ),
    ),
    Damage(
        "a payment is booked once and whole, as money of which nobody knows yet whose it is",
        ("UPDATE ledger_transfers SET reference = 'pay_x' WHERE kind = 'receipt_credited'",),
    ),
    Damage(
        "what is allocated of a payment is what its allocations say that stand",
        (f"UPDATE payment_allocations SET payment_id = {RETURNED} WHERE kind = 'credit'",),
    ),
    Damage(
        "what has gone back of a payment is what its refunds, its lost chargebacks and refunds that came back say",
        ("UPDATE refunds SET payment_id = 'pay_x' WHERE payment_id IS NOT NULL",),
    ),
    Damage(
        "an allocation is booked once and whole, with the fee that the bank kept",
        ("UPDATE payment_allocations SET fee_micros = fee_micros + 1",),
    ),
    Damage(
        "an allocation that was undone is booked back, and no other",
        (
            f"UPDATE ledger_entries SET transfer_id = 'tra_x' WHERE transfer_id IN {UNDONE}",
            f"UPDATE ledger_transfers SET id = 'tra_x' WHERE id IN {UNDONE}",
        ),
    ),
    Damage(
        "unmatched receipts of the house are what of payments has found no place",
        move_balance(HOUSE_REFUNDS, 7, source="kind = 'unmatched_receipts'"),
    ),
    Damage(
        "a refund is booked as far as it went: asked for, sent, come back, dropped",
        ("UPDATE ledger_transfers SET reference = 'ref_x' WHERE kind = 'refund_requested'",),
    ),
    Damage(
        "the house's cash is what came in, less what went back and what was charged back",
        move_balance("kind = 'cash' AND contract_id IS NULL", 7, source=HOUSE_REFUNDS),
    ),
    Damage(
        "what was paid at Stripe is booked once and whole, as a payment of its own",
        ("UPDATE payments SET source = 'stripe'",),
    ),
    Damage("what goes back by Stripe is what its refund says", (ADD_REFUND_STEP,)),
)


@pytest.fixture
async def books(api: Api, system: System, clock: ManualClock) -> System:
    """Fill the books with a prepaid contract beyond its grant: one job ended, one live, one month invoiced for good."""
    customer = await make_ready_customer(api, plan="prepaid", overage="contract")
    ended = await start_job(system, customer, gpu_seconds=499 * HOUR, tokens=1000)
    await report_usage(system, ended, gpu_seconds=498 * HOUR, tokens=900)
    await report_usage(system, ended, gpu_seconds=90, tokens=77)
    await settle(system, ended)
    live = await start_job(system, customer, gpu_seconds=3 * HOUR, tokens=500)
    await report_usage(system, live, gpu_seconds=2 * HOUR, tokens=300)
    clock.advance(days=30)
    draft = await api.post("/invoices", {"contract_id": customer.contract["id"], "month": "2026-11"}, expect=201)
    await api.post(f"/invoices/{draft['id']}/finalize")
    await correct_by_hand(api, customer, draft)
    await pay_by_transfer(api, customer.contract["id"])
    return system


async def pay_by_transfer(api: Api, contract_id: str) -> None:
    """Keep one transfer as a credit; take another one's claim back, and return it to its payer."""
    stranger = {"payer_name": "Somebody", "payer_account": "1"}
    kept, returned = (await import_lines(api, line("100.00"), line("50.00", **stranger)))["lines"]
    claims = {"allocations": [{"contract_id": contract_id}]}
    await api.post(f"/payments/{kept['payment_id']}/claim", claims)
    path = f"/payments/{returned['payment_id']}"
    await api.post(f"{path}/claim", claims)
    await api.post(f"{path}/unclaim", {"reason": "Somebody else's"})
    await api.post(f"{path}/return", {"reason": "Not ours"}, expect=201)


async def correct_by_hand(api: Api, customer: Customer, invoice: Any) -> None:
    """Credit and give up a little of an invoice, and give the customer some money and an hour."""
    reason = {"reason": "Test"}
    largest = max(invoice["lines"], key=lambda line: Decimal(line["amount"]["amount"]))
    lines = [{"position": largest["position"], "amount": "0.02"}]
    await api.post("/credit-notes", {"invoice_id": invoice["id"], "lines": lines, **reason}, expect=201)
    grant = (await api.get("/grants"))["data"][0]["id"]
    for what in (
        {"kind": "bad_debt", "invoice_id": invoice["id"], "amount": "0.01"},
        {"kind": "credit", "contract_id": customer.contract["id"], "amount": "5.00"},
        {"kind": "grant", "grant_id": grant, "quantity": HOUR},
    ):
        await api.post("/adjustments", {**what, **reason}, expect=201)


async def find_broken(owner: AsyncEngine, damage: Damage) -> list[str]:
    """List the rules that verify finds broken by this damage, which is rolled back after."""
    async with AsyncSession(owner) as session:
        await session.execute(text("SET LOCAL session_replication_role = replica"))  # no triggers, no foreign keys
        await session.execute(text("ALTER TABLE ledger_accounts DROP CONSTRAINT ck_ledger_accounts_not_oversold"))
        for statement in damage.statements:
            connection = await session.connection()
            assert (await connection.execute(text(statement))).rowcount > 0, f"did nothing: {statement}"
        return [result.rule for result in await verify_ledger(session) if result.broken]


async def test_broken_rule_is_found_and_no_other(books: System, urls: DatabaseUrls) -> None:
    assert await broken_rules(books) == {}
    owner = create_async_engine(with_driver(urls.owner or ""))
    found = {damage.rule: await find_broken(owner, damage) for damage in DAMAGES}
    await owner.dispose()
    assert found == {damage.rule: [damage.rule] for damage in DAMAGES}


def test_every_rule_is_broken_once() -> None:
    assert sorted(damage.rule for damage in DAMAGES) == sorted(check.rule for check in CHECKS)


@pytest.mark.parametrize(
    ("kind", "damage", "told"),
    [("advance", REFUND_TOO_MUCH, "paid=2600.0"), ("usage", CREDIT_A_LINE_TWICE, "month=2026-11, jobs=job_")],
)
async def test_money_that_was_given_back_twice_is_told_with_its_cure_and_the_cure_helps(
    api: Api, books: System, urls: DatabaseUrls, kind: str, damage: tuple[str, ...], told: str
) -> None:
    """Once a note and a refund gave back an advance twice, and corrections of a line what was credited of it before."""
    (invoice,) = (await api.get("/invoices", kind=kind))["data"]
    owner = create_async_engine(with_driver(urls.owner or ""))
    async with AsyncSession(owner) as session:
        await session.execute(text("SET LOCAL session_replication_role = replica"))
        for statement in damage:
            await session.execute(text(statement))
        await session.commit()
    await owner.dispose()
    async with books.work() as work:
        (found,) = [result for result in await verify_ledger(work.session) if result.broken]
    assert f"number={invoice['number']}, contract_id={invoice['contract_id']}, {told}" in found.broken[0]
    assert "POST /v1/adjustments" in (found.cure or "")
    body = {"kind": "credit", "contract_id": invoice["contract_id"], "amount": "-0.01"}
    await api.post("/adjustments", {**body, "reason": "another matter"}, expect=201)
    assert list(await broken_rules(books)) == [found.rule]
    await api.post("/adjustments", {**body, "reason": f"{invoice['number']} was given back twice"}, expect=201)
    assert await broken_rules(books) == {}

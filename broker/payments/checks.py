"""What must hold between payments, refunds, chargebacks and the accounts of money; `broker ledger verify` asks for it.

Both ways: each row is booked once and whole, and what stands on the house's accounts is what the rows say.
"""

from broker.billing.checks import SIDES
from broker.ledger.reading.verify import Check

# What each allocation that stands, and each that was undone, is booked by; `Allocating` names the transfers so.
BOOKED_BY = "'tra_' || split_part(p.id, '_', 2)"

PAYMENT_CHECKS = (
    Check(
        "a payment is booked once and whole, as money of which nobody knows yet whose it is",
        f"""WITH {SIDES}
           SELECT p.id, p.amount_micros, coalesce(sum(s.amount), 0) AS booked
           FROM payments p LEFT JOIN sides s
               ON s.reference = p.id AND s.transfer = 'receipt_credited' AND s.kind = 'cash' AND s.contract_id IS NULL
           GROUP BY p.id HAVING p.amount_micros <> coalesce(sum(s.amount), 0)""",  # noqa: S608 (nothing of it comes from outside)
    ),
    Check(
        "what is allocated of a payment is what its allocations say that stand",
        """SELECT p.id, p.allocated_micros, coalesce(sum(a.amount_micros), 0) AS allocations
           FROM payments p LEFT JOIN payment_allocations a ON a.payment_id = p.id AND a.undone_at IS NULL
           GROUP BY p.id HAVING p.allocated_micros <> coalesce(sum(a.amount_micros), 0)""",
    ),
    Check(
        "what has gone back of a payment is what its refunds, its lost chargebacks and refunds that came back say",
        """SELECT p.id, p.returned_micros, coalesce(r.micros, 0) AS refunds, coalesce(d.micros, 0) AS chargebacks,
                  coalesce(b.micros, 0) AS came_back
           FROM payments p
           LEFT JOIN (SELECT came_back_id, sum(amount_micros) AS micros FROM refunds GROUP BY 1) b
               ON b.came_back_id = p.id
           LEFT JOIN (SELECT payment_id, sum(amount_micros) AS micros
                      FROM refunds WHERE status <> 'failed' GROUP BY 1) r
               ON r.payment_id = p.id
           LEFT JOIN (SELECT payment_id, sum(amount_micros) AS micros FROM disputes WHERE status = 'lost' GROUP BY 1) d
               ON d.payment_id = p.id
           WHERE p.returned_micros <> coalesce(r.micros, 0) + coalesce(d.micros, 0) + coalesce(b.micros, 0)""",
    ),
    Check(
        "an allocation is booked once and whole, with the fee that the bank kept",
        """SELECT p.id, p.amount_micros, p.fee_micros, coalesce(b.amount, 0) AS booked, coalesce(b.fee, 0) AS booked_fee
           FROM payment_allocations p LEFT JOIN LATERAL ({booked}) b ON true
           WHERE (coalesce(b.amount, 0), coalesce(b.fee, 0)) <> (p.amount_micros, p.fee_micros)""".replace(
            "{booked}",
            f"""SELECT sum(e.amount) FILTER (WHERE d.kind = 'unmatched_receipts') AS amount,
                      sum(e.amount) FILTER (WHERE d.kind = 'bank_fees') AS fee
               FROM ledger_entries e JOIN ledger_accounts d ON d.id = e.debit_account_id
               JOIN ledger_accounts c ON c.id = e.credit_account_id
               WHERE e.transfer_id = {BOOKED_BY}
                 AND c.kind = CASE p.kind WHEN 'invoice' THEN 'receivable' ELSE 'customer_credit' END""",  # noqa: S608
        ),
    ),
    Check(
        "an allocation that was undone is booked back, and no other",
        f"""SELECT p.id, p.amount_micros, coalesce(b.amount, 0) AS booked_back
           FROM payment_allocations p LEFT JOIN LATERAL (
               SELECT sum(e.amount) FILTER (WHERE c.kind = 'unmatched_receipts') AS amount
               FROM ledger_entries e JOIN ledger_accounts c ON c.id = e.credit_account_id
               WHERE e.transfer_id = {BOOKED_BY} || 'u') b ON true
           WHERE coalesce(b.amount, 0) <> CASE WHEN p.undone_at IS NULL THEN 0 ELSE p.amount_micros END""",  # noqa: S608
    ),
    Check(
        "unmatched receipts of the house are what of payments has found no place",
        """SELECT 'house' AS id, sum(x.micros) AS off
           FROM (SELECT balance AS micros FROM ledger_accounts
                 WHERE kind = 'unmatched_receipts' AND contract_id IS NULL
                 UNION ALL SELECT amount_micros - allocated_micros - returned_micros FROM payments) x
           HAVING sum(x.micros) <> 0""",
    ),
    Check(
        "a refund is booked as far as it went: asked for, sent, come back, dropped",
        f"""WITH {SIDES}
           SELECT r.id, r.status, coalesce(sum(s.amount) FILTER (WHERE s.kind = 'cash'), 0) AS cash
           FROM refunds r LEFT JOIN sides s ON s.reference = r.id
           GROUP BY r.id
           HAVING coalesce(-sum(s.amount) FILTER (WHERE s.kind = 'cash'), 0)
                   <> CASE WHEN r.method <> 'customer_credit' AND r.status IN ('sent', 'confirmed')
                            OR r.came_back_id IS NOT NULL THEN r.amount_micros ELSE 0 END
               OR coalesce(-sum(s.amount) FILTER (WHERE s.kind = 'refunds'), 0)
                   <> CASE WHEN r.taken_from <> 'grant' AND r.status = 'requested' THEN r.amount_micros
                       WHEN r.taken_from = 'grant' AND r.status IN ('sent', 'confirmed') THEN -r.amount_micros
                       ELSE 0 END""",  # noqa: S608
    ),
    Check(
        "the house's cash is what came in, less what went back and what was charged back",
        """SELECT 'house' AS id, sum(x.micros) AS off
           FROM (SELECT balance AS micros FROM ledger_accounts WHERE kind = 'cash' AND contract_id IS NULL
                 UNION ALL SELECT -amount_micros FROM payments
                 UNION ALL SELECT amount_micros FROM refunds
                 WHERE method <> 'customer_credit' AND status IN ('sent', 'confirmed') OR came_back_id IS NOT NULL
                 UNION ALL SELECT amount_micros FROM disputes WHERE kind = 'chargeback' AND status = 'lost') x
           HAVING sum(x.micros) <> 0""",
    ),
)

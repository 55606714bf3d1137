"""What must hold between invoices and the accounts of money, as `broker ledger verify` asks for it."""

from broker.ledger.reading.verify import Check

# Each entry seen from each of its two accounts: above zero where the account is debited.
SIDES = """sides AS (
               SELECT t.kind AS transfer, t.reference, a.contract_id, a.kind, a.grant_id, s.amount
               FROM ledger_entries e
               CROSS JOIN LATERAL (VALUES (e.debit_account_id, e.amount), (e.credit_account_id, -e.amount))
                   AS s (account_id, amount)
               JOIN ledger_accounts a ON a.id = s.account_id
               JOIN ledger_transfers t ON t.id = e.transfer_id
               WHERE e.unit = 'micro_yuan'
           )"""
# What a price holds of itself and the tax in it; tax is taken out of a sum of an invoice and rounded by itself.
WITH_TAX = "CASE i.tax_mode WHEN 'included' THEN 1 + i.tax_rate ELSE 1 END"
HALF_A_FEN = 5_000
# Money was given back twice once: an advance by a credit note and a refund, a line by a note and a correction.
TAKE_IT_OFF_THE_CREDIT = (
    "is to be taken off the customer's credit: POST /v1/adjustments "
    '{"kind": "credit", "contract_id": "con_…", "amount": "-…", "reason": "… INV-… …"}. '
    "The reason names the invoice's number; the rule holds then. Where the credit is used up, or the house lets the "
    "customer keep it, adjust it by as much above zero first: the house bears that."
)
# What was taken off a customer's credit by hand again, by the number of an invoice that the reason names.
TAKEN_BACK_BY_HAND = """SELECT i.id, -sum(a.quantity) AS micros FROM adjustments a JOIN invoices i
                   ON i.contract_id = a.contract_id AND a.reason LIKE '%' || i.number || '%'
               WHERE a.kind = 'credit' AND a.quantity < 0 GROUP BY 1"""
# A void invoice for usage has asked for what it says, and its credit note has taken all of that back; a void advance is
# cancelled in the books.
IS_FINAL = "(i.status NOT IN ('draft', 'void') OR i.status = 'void' AND i.kind = 'usage')"

BILLING_CHECKS = (
    Check(
        "a line is of an invoice",
        """SELECT l.invoice_id AS id, l.position FROM invoice_lines l
           WHERE NOT EXISTS (SELECT FROM invoices i WHERE i.id = l.invoice_id)""",
    ),
    Check(
        "a line is of the customer of its invoice",
        """SELECT l.invoice_id AS id, l.position, l.customer_id FROM invoice_lines l
           JOIN invoices i ON i.id = l.invoice_id WHERE l.customer_id <> i.customer_id""",
    ),
    Check(
        "what a final invoice asks for, and the tax in it, is booked once and whole",
        f"""WITH {SIDES}, booked AS (
               SELECT reference,
                      coalesce(sum(amount) FILTER (WHERE kind IN ('receivable', 'customer_credit')), 0) AS asked,
                      coalesce(-sum(amount) FILTER (WHERE kind = 'tax'), 0) AS tax
               FROM sides WHERE transfer IN ('advance_invoiced', 'advance_cancelled', 'usage_invoiced') GROUP BY 1
           )
           SELECT i.id, i.total_micros, b.asked, i.tax_micros, b.tax
           FROM invoices i LEFT JOIN booked b ON b.reference = i.id
           WHERE coalesce(b.asked, 0) <> CASE WHEN {IS_FINAL} THEN i.total_micros ELSE 0 END
              OR coalesce(b.tax, 0) <> CASE WHEN {IS_FINAL} THEN i.tax_micros ELSE 0 END""",  # noqa: S608 (nothing of it comes from outside)
    ),
    Check(
        "what was paid of an invoice came in, or was a credit",
        f"""WITH {SIDES}
           SELECT i.id, i.paid_micros, coalesce(sum(-s.amount), 0) AS settled
           FROM invoices i LEFT JOIN sides s
               ON s.reference = i.id AND s.transfer IN ('payment_received', 'payment_taken_back', 'credit_used')
               AND s.kind = 'receivable'
           GROUP BY i.id HAVING i.paid_micros <> coalesce(sum(-s.amount), 0)""",  # noqa: S608
    ),
    Check(
        "what a customer owes is what is due of its final invoices",
        f"""SELECT x.contract_id AS id, sum(x.micros) AS off
           FROM (SELECT contract_id, balance AS micros FROM ledger_accounts WHERE kind = 'receivable'
                 UNION ALL
                 SELECT i.contract_id, -greatest(0, i.total_micros - i.credited_micros - i.written_off_micros
                                                    - i.paid_micros)
                 FROM invoices i WHERE {IS_FINAL}) x
           GROUP BY 1 HAVING sum(x.micros) <> 0""",  # noqa: S608
    ),
    Check(
        "what final invoices take off for grants is earned of advances, or what gifts cost",
        f"""WITH {SIDES}
           SELECT x.contract_id AS id, sum(x.micros) AS off
           FROM (SELECT contract_id, -amount AS micros FROM sides
                 WHERE kind = 'revenue' AND (transfer IN ('advance_earned', 'gift_used', 'rounded')
                     OR transfer = 'advance_returned' AND EXISTS (
                         SELECT FROM closed_months m WHERE (m.contract_id, m.month) = (sides.contract_id, reference)))
                 UNION ALL
                 SELECT i.contract_id, sum(l.amount_micros) / {WITH_TAX}
                 FROM invoices i JOIN invoice_lines l ON l.invoice_id = i.id
                 WHERE {IS_FINAL} AND l.kind = 'advance' GROUP BY i.id) x
           GROUP BY 1 HAVING abs(sum(x.micros)) > {HALF_A_FEN} * count(*)""",  # noqa: S608
    ),
    Check(
        "a credit note is the sum of its lines, with the tax on top of them",
        """SELECT n.id, n.total_micros, sum(l.amount_micros) AS lines
           FROM credit_notes n JOIN invoices i ON i.id = n.invoice_id
           LEFT JOIN credit_note_lines l ON l.credit_note_id = n.id
           GROUP BY n.id, i.tax_mode
           HAVING n.total_micros - CASE i.tax_mode WHEN 'on_top' THEN n.tax_micros ELSE 0 END
               <> coalesce(sum(l.amount_micros), 0)""",
    ),
    Check(
        "no more is credited of a line than it bills",
        """SELECT l.id, l.amount_micros, sum(c.amount_micros) AS credited
           FROM invoice_lines l JOIN credit_note_lines c ON c.invoice_line_id = l.id
           GROUP BY l.id HAVING sum(c.amount_micros) > l.amount_micros""",
    ),
    Check(
        "credit notes, write-offs and corrections give back no more of a month's line than it asks for",
        f"""WITH asked AS (
               SELECT l.job_id, i.month, coalesce(l.used_month, i.month) AS used_month, l.meter AS unit, l.unit_price,
                      sum(l.amount_micros) AS micros
               FROM invoices i JOIN invoice_lines l ON l.invoice_id = i.id
               WHERE {IS_FINAL} AND l.kind IN ('usage', 'correction') AND l.quantity > 0 AND NOT EXISTS (
                   SELECT FROM invoice_lines o
                   WHERE (o.invoice_id, o.position, o.kind) = (l.invoice_id, l.position + 1, 'advance'))
               GROUP BY 1, 2, 3, 4, 5
           ), corrected AS (
               SELECT job_id, corrected_month AS month, used_month, unit, unit_price, sum(amount_micros) AS micros
               FROM rate_corrections WHERE billable GROUP BY 1, 2, 3, 4, 5
           ), twice AS (
               SELECT r.contract_id, r.month, string_agg(DISTINCT r.job_id, ' ') AS jobs,
                      sum(r.credited_micros + coalesce(c.micros, 0) - coalesce(a.micros, 0)) AS micros
               FROM rate_lines r
               LEFT JOIN asked a USING (job_id, month, used_month, unit, unit_price)
               LEFT JOIN corrected c USING (job_id, month, used_month, unit, unit_price)
               WHERE r.billable AND r.credited_micros + coalesce(c.micros, 0) > coalesce(a.micros, 0) GROUP BY 1, 2
           )
           SELECT coalesce(i.id, t.contract_id) AS id, i.number, t.contract_id, t.month, t.jobs,
                  (t.micros - coalesce(b.micros, 0)) / 1000000.0 AS given_back_twice
           FROM twice t
           LEFT JOIN invoices i ON i.kind = 'usage' AND (i.contract_id, i.month) = (t.contract_id, t.month)
           LEFT JOIN ({TAKEN_BACK_BY_HAND}) b ON b.id = i.id
           WHERE t.micros > coalesce(b.micros, 0)""",  # noqa: S608
        f"`given_back_twice` {TAKE_IT_OFF_THE_CREDIT}",
    ),
    Check(
        "what is credited and written off of an invoice is what its credit notes and adjustments say",
        """SELECT i.id, i.credited_micros, n.credited, i.written_off_micros, a.written_off
           FROM invoices i
           LEFT JOIN (SELECT invoice_id, sum(total_micros) AS credited FROM credit_notes GROUP BY 1) n
               ON n.invoice_id = i.id
           LEFT JOIN (SELECT invoice_id, sum(quantity) AS written_off FROM adjustments GROUP BY 1) a
               ON a.invoice_id = i.id
           WHERE i.credited_micros <> coalesce(n.credited, 0) OR i.written_off_micros <> coalesce(a.written_off, 0)""",
    ),
    Check(
        "a void invoice for usage is credited whole, of which nothing was paid, and was told as void",
        """SELECT i.id, i.total_micros, i.credited_micros, i.paid_micros
           FROM invoices i
           WHERE i.kind = 'usage' AND i.status = 'void'
             AND (i.number IS NULL OR i.paid_micros <> 0 OR i.credited_micros <> i.total_micros OR NOT EXISTS (
                 SELECT FROM contract_events e
                 WHERE e.contract_id = i.contract_id AND e.kind = 'invoice_voided' AND e.occasion = i.id))""",
    ),
    Check(
        "an invoice that was told as void is void",
        """SELECT e.occasion AS id, i.status
           FROM contract_events e LEFT JOIN invoices i ON i.id = e.occasion
           WHERE e.kind = 'invoice_voided' AND i.status IS DISTINCT FROM 'void'""",
    ),
    Check(
        "credit notes and refunds of an advance give back no more than was paid",
        f"""WITH {SIDES}, refunded AS (
               SELECT g.invoice_id, -sum(s.amount) AS micros FROM sides s JOIN grants g ON g.id = s.reference
               WHERE s.transfer = 'grant_refunded' AND s.kind = 'refunds' GROUP BY 1
           ), taken_back AS (
               {TAKEN_BACK_BY_HAND}
           )
           SELECT i.id, i.number, i.contract_id, i.paid_micros / 1000000.0 AS paid,
                  (i.credited_micros + r.micros - coalesce(t.micros, 0)) / 1000000.0 AS given_back
           FROM invoices i JOIN refunded r ON r.invoice_id = i.id LEFT JOIN taken_back t ON t.id = i.id
           WHERE i.kind = 'advance' AND i.credited_micros + r.micros - coalesce(t.micros, 0) > i.paid_micros""",  # noqa: S608
        f"what `given_back` says more than `paid` {TAKE_IT_OFF_THE_CREDIT}",
    ),
    Check(
        "a credit note is booked once and whole, with its tax",
        f"""WITH {SIDES}
           SELECT n.id, n.total_micros, n.tax_micros
           FROM credit_notes n LEFT JOIN sides s ON s.reference = n.id AND s.transfer = 'credited'
           GROUP BY n.id
           HAVING n.total_micros <> coalesce(
                   -sum(s.amount) FILTER (WHERE s.kind IN ('receivable', 'customer_credit')), 0)
               OR n.tax_micros <> coalesce(sum(s.amount) FILTER (WHERE s.kind = 'tax'), 0)""",  # noqa: S608
    ),
    Check(
        "an adjustment is booked once and whole",
        """SELECT a.id, a.kind, a.quantity, coalesce(sum(s.amount), 0) AS booked
           FROM adjustments a
           LEFT JOIN ledger_transfers t ON t.reference = a.id
           LEFT JOIN ledger_entries e ON e.transfer_id = t.id
           LEFT JOIN LATERAL (
               SELECT x.amount FROM (VALUES (e.debit_account_id, e.amount), (e.credit_account_id, -e.amount))
                   AS x (account_id, amount)
               JOIN ledger_accounts l ON l.id = x.account_id
               WHERE (a.kind, l.kind) IN (('grant', 'granted'), ('credit', 'gift_costs'), ('bad_debt', 'bad_debt'))
           ) s ON true
           GROUP BY a.id HAVING a.quantity <> coalesce(sum(s.amount), 0)""",
    ),
    # To a fen: the price and the tax in it are rounded, each once, whatever has left the grant before.
    Check(
        "what is deferred of a grant's advance is the price of what is not earned of it",
        f"""SELECT g.id, coalesce(-d.balance, 0) AS deferred, u.units * g.unit_price * 1000000 / p.per AS unearned
           FROM grants g
           JOIN invoices i ON i.id = g.invoice_id
           LEFT JOIN ledger_accounts d ON d.grant_id = g.id AND d.kind = 'deferred_revenue'
           LEFT JOIN ledger_accounts a ON a.grant_id = g.id AND a.kind = 'granted'
           LEFT JOIN (SELECT grant_id, sum(held - captured - released) AS units FROM hold_legs GROUP BY 1) h
               ON h.grant_id = g.id
           LEFT JOIN (
               SELECT c.grant_id, sum(c.quantity) AS units FROM captures c
               WHERE NOT c.borne AND NOT EXISTS (
                   SELECT FROM closed_months m WHERE m.contract_id = c.contract_id AND m.month = c.month)
                 AND NOT EXISTS (SELECT FROM captures o WHERE o.id = c.corrects_id AND o.month <> c.month)
               GROUP BY 1
           ) c ON c.grant_id = g.id
           CROSS JOIN LATERAL (SELECT {WITH_TAX} * CASE g.unit WHEN 'gpu_seconds' THEN 3600 ELSE 1 END AS per) p
           CROSS JOIN LATERAL (SELECT CASE
               WHEN i.status = 'void' THEN 0
               WHEN g.activated_at IS NULL THEN g.quantity
               ELSE greatest(0, coalesce(a.balance, 0) + coalesce(h.units, 0) + coalesce(c.units, 0)) END AS units) u
           WHERE g.advance
             AND abs(coalesce(-d.balance, 0) * p.per - u.units * g.unit_price * 1000000) > 10000 * p.per""",  # noqa: S608
    ),
)

"""What must hold between invoices and the accounts of money, as `broker ledger verify` asks for it."""

from broker.ledger.verify import Check

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
IS_FINAL = "i.status NOT IN ('draft', 'void')"

BILLING_CHECKS = (
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
        "what was paid of an invoice came in",
        f"""WITH {SIDES}
           SELECT i.id, i.paid_micros, coalesce(sum(s.amount), 0) AS came_in
           FROM invoices i
           LEFT JOIN sides s ON s.reference = i.id AND s.transfer = 'payment_received' AND s.kind = 'cash'
           GROUP BY i.id HAVING i.paid_micros <> coalesce(sum(s.amount), 0)""",  # noqa: S608
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
        "what final invoices take off for advances has been earned",
        f"""WITH {SIDES}
           SELECT x.contract_id AS id, sum(x.micros) AS off
           FROM (SELECT contract_id, -amount AS micros FROM sides
                 WHERE kind = 'revenue' AND transfer IN ('advance_earned', 'rounded')
                 UNION ALL
                 SELECT i.contract_id, l.amount_micros FROM invoices i JOIN invoice_lines l ON l.invoice_id = i.id
                 WHERE {IS_FINAL} AND l.kind = 'advance') x
           GROUP BY 1 HAVING sum(x.micros) <> 0""",  # noqa: S608
    ),
    # To two fen: what was refunded or has expired of a grant was rounded by itself.
    Check(
        "what is deferred of a grant's advance is the price of what is not earned of it",
        """SELECT g.id, coalesce(-d.balance, 0) AS deferred, u.units * g.unit_price * 1000000 / p.per AS unearned
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
               GROUP BY 1
           ) c ON c.grant_id = g.id
           CROSS JOIN LATERAL (SELECT CASE g.unit WHEN 'gpu_seconds' THEN 3600 ELSE 1 END AS per) p
           CROSS JOIN LATERAL (SELECT CASE
               WHEN i.status = 'void' THEN 0
               WHEN g.activated_at IS NULL THEN g.quantity
               ELSE greatest(0, coalesce(a.balance, 0) + coalesce(h.units, 0) + coalesce(c.units, 0)) END AS units) u
           WHERE g.advance
             AND abs(coalesce(-d.balance, 0) * p.per - u.units * g.unit_price * 1000000) > 20000 * p.per""",
    ),
)

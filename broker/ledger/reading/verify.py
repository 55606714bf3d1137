"""What must hold of balances, entries, holds and captures, as `broker ledger verify` asks for it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Check:
    """A rule and the rows that break it; `cure` says what to do where an earlier release broke it."""

    rule: str
    query: str
    cure: str | None = None


# Each range of intervals that was charged together, and the same once for each interval in it.
CHARGED_RANGES = """ranges AS (
               SELECT run_id, first_sequence, last_sequence,
                      coalesce(sum(quantity) FILTER (WHERE unit = 'gpu_seconds'), 0) AS gpu_seconds,
                      coalesce(sum(quantity) FILTER (WHERE unit = 'tokens'), 0) AS tokens
               FROM captures GROUP BY 1, 2, 3
           ), covered AS (
               SELECT ranges.*, s.sequence FROM ranges, generate_series(first_sequence, last_sequence) AS s (sequence)
           )"""

LEDGER_CHECKS = (
    Check(
        "an entry is of a transfer",
        "SELECT e.id FROM ledger_entries e LEFT JOIN ledger_transfers t ON t.id = e.transfer_id WHERE t.id IS NULL",
    ),
    Check(
        "an entry is between two accounts",
        """SELECT e.id FROM ledger_entries e
           LEFT JOIN ledger_accounts d ON d.id = e.debit_account_id
           LEFT JOIN ledger_accounts c ON c.id = e.credit_account_id WHERE d.id IS NULL OR c.id IS NULL""",
    ),
    Check(
        "an entry is in the unit and of the customer of both of its accounts",
        """SELECT e.id FROM ledger_entries e
           JOIN ledger_accounts a ON a.id IN (e.debit_account_id, e.credit_account_id)
           WHERE e.unit <> a.unit OR e.customer_id <> a.customer_id
              OR (e.customer_id IS NULL AND a.customer_id IS NOT NULL)""",
    ),
    Check(
        "a leg is of a hold",
        "SELECT l.id FROM hold_legs l LEFT JOIN holds h ON h.id = l.hold_id WHERE h.id IS NULL",
    ),
    Check(
        "a leg is of the customer of its hold",
        "SELECT l.id FROM hold_legs l JOIN holds h ON h.id = l.hold_id WHERE l.customer_id <> h.customer_id",
    ),
    Check(
        "a leg comes from an account in its unit",
        """SELECT l.id FROM hold_legs l LEFT JOIN ledger_accounts a ON a.id = l.account_id
           WHERE l.unit IS DISTINCT FROM a.unit""",
    ),
    Check(
        "a capture is of the customer and the contract of its hold",
        """SELECT c.id FROM captures c JOIN hold_legs l ON l.id = c.leg_id JOIN holds h ON h.id = l.hold_id
           WHERE c.customer_id <> h.customer_id OR c.contract_id <> h.contract_id""",
    ),
    Check(
        "a balance is the sum of its entries",
        """SELECT a.id, a.balance, coalesce(sum(e.amount), 0) AS entries
           FROM ledger_accounts a LEFT JOIN (
               SELECT debit_account_id AS account_id, amount FROM ledger_entries
               UNION ALL SELECT credit_account_id, -amount FROM ledger_entries
           ) e ON e.account_id = a.id
           GROUP BY a.id HAVING a.balance <> coalesce(sum(e.amount), 0)""",
    ),
    Check(
        "no account is oversold, and no more is spent of what the house owes than there is",
        """SELECT id, balance FROM ledger_accounts
           WHERE (balance < 0 AND NOT may_go_negative) OR (balance > 0 AND NOT may_go_positive)""",
    ),
    Check(
        "what is held is what the open legs of placed holds hold",
        """SELECT a.contract_id AS id, a.unit, a.balance, coalesce(o.quantity, 0) AS legs
           FROM ledger_accounts a LEFT JOIN (
               SELECT h.contract_id, l.unit, sum(l.held - l.captured - l.released) AS quantity
               FROM holds h JOIN hold_legs l ON l.hold_id = h.id GROUP BY 1, 2
           ) o ON o.contract_id = a.contract_id AND o.unit = a.unit
           WHERE a.kind = 'held' AND a.balance <> coalesce(o.quantity, 0)""",
    ),
    Check(
        "a hold that has ended holds nothing: captured + released = held",
        """SELECT h.id, l.unit FROM holds h JOIN hold_legs l ON l.hold_id = h.id
           WHERE h.state <> 'placed' AND l.captured + l.released <> l.held""",
    ),
    Check(
        "what is used, or borne, is what the legs captured",
        """SELECT a.contract_id AS id, a.unit, a.kind, a.balance, coalesce(o.quantity, 0) AS legs
           FROM (SELECT contract_id, unit, kind, sum(balance) AS balance FROM ledger_accounts
                 WHERE kind IN ('used', 'borne') GROUP BY 1, 2, 3) a
           LEFT JOIN (
               SELECT h.contract_id, l.unit, CASE WHEN l.borne THEN 'borne' ELSE 'used' END AS kind,
                      sum(l.captured) AS quantity
               FROM holds h JOIN hold_legs l ON l.hold_id = h.id GROUP BY 1, 2, 3
           ) o ON o.contract_id = a.contract_id AND o.unit = a.unit AND o.kind = a.kind
           WHERE a.balance <> coalesce(o.quantity, 0)""",
    ),
    Check(
        "what is borne for a cause is what its captures say",
        """SELECT x.contract_id AS id, x.unit, x.cause, sum(x.quantity) AS off
           FROM (SELECT contract_id, unit, cause, balance AS quantity FROM ledger_accounts
                 WHERE kind = 'borne' AND unit <> 'micro_yuan'
                 UNION ALL SELECT contract_id, unit, cause, -quantity FROM captures WHERE borne) x
           GROUP BY 1, 2, 3 HAVING sum(x.quantity) <> 0""",
    ),
    Check(
        "a metered leg captured what its captures say",
        """SELECT l.id, l.captured, coalesce(sum(c.quantity), 0) AS captures
           FROM hold_legs l LEFT JOIN captures c ON c.leg_id = l.id AND c.borne = l.borne
           WHERE l.unit <> 'micro_yuan' GROUP BY l.id HAVING l.captured <> coalesce(sum(c.quantity), 0)""",
    ),
    Check(
        "every usage event is charged once and whole",
        f"""WITH {CHARGED_RANGES}
           SELECT u.run_id AS id, min(u.sequence) AS sequence, sum(u.gpu_seconds) AS gpu_seconds,
                  sum(u.tokens) AS tokens
           FROM usage_events u LEFT JOIN covered r ON r.run_id = u.run_id AND r.sequence = u.sequence
           GROUP BY u.run_id, coalesce(r.first_sequence, u.sequence), r.last_sequence
           HAVING sum(u.gpu_seconds) <> coalesce(min(r.gpu_seconds), 0) OR sum(u.tokens) <> coalesce(min(r.tokens), 0)
           UNION ALL
           SELECT run_id, sequence, NULL, NULL FROM covered GROUP BY 1, 2 HAVING count(*) > 1""",  # noqa: S608 (nothing of it comes from outside)
    ),
    Check(
        "nothing is charged without a usage event",
        f"""WITH {CHARGED_RANGES}
           SELECT r.run_id AS id, r.sequence FROM covered r
           LEFT JOIN usage_events u ON u.run_id = r.run_id AND u.sequence = r.sequence WHERE u.run_id IS NULL""",  # noqa: S608
    ),
    Check(
        "every usage event that was accepted is rated or in quarantine: its key is there once",
        """SELECT source AS id, event_id, sum(kept) AS kept_less_accepted FROM (
               SELECT source, event_id, -1 AS kept FROM usage_event_keys
               UNION ALL SELECT source, event_id, 1 FROM usage_events
               UNION ALL
               SELECT q.source, q.event_id, 1 FROM quarantined_usage q LEFT JOIN quarantine_decisions d
                   ON d.quarantine_id = q.id AND d.decision = 'charged' WHERE d.quarantine_id IS NULL) x
           GROUP BY 1, 2 HAVING sum(kept) <> 0""",
    ),
    Check(
        "usage is added up by the hour as its events are",
        """SELECT contract_id AS id, hour, job_id, source, gpu_type, labels, sum(gpu_seconds) AS gpu_seconds,
                  sum(tokens) AS tokens, sum(events) AS events
           FROM (SELECT hour, customer_id, contract_id, project_id, job_id, source, gpu_type, labels, gpu_seconds,
                        tokens, events FROM usage_rollups
                 UNION ALL
                 SELECT date_trunc('hour', ended_at, 'UTC'), customer_id, contract_id, coalesce(project_id, ''),
                        coalesce(job_id, ''), CASE WHEN source LIKE '/runs/%' THEN '' ELSE source END,
                        coalesce(gpu_type, ''), labels, -gpu_seconds, -tokens, -1
                 FROM usage_events) x
           GROUP BY hour, customer_id, contract_id, project_id, job_id, source, gpu_type, labels
           HAVING sum(gpu_seconds) <> 0 OR sum(tokens) <> 0 OR sum(events) <> 0""",
    ),
    Check(
        "what is summed up by price, for each job and in all, is what was captured",
        """SELECT coalesce(x.job_id, x.contract_id) AS id, x.month, x.used_month, x.unit, x.unit_price, x.billable,
                  sum(x.quantity) AS off
           FROM (SELECT contract_id, job_id, month, used_month, unit, unit_price, billable, quantity FROM rate_lines
                 UNION ALL
                 SELECT contract_id, NULL, month, used_month, unit, unit_price, billable, quantity FROM rate_segments
                 UNION ALL
                 SELECT c.contract_id, CASE WHEN per_job THEN c.job_id END, c.month, c.used_month, c.unit,
                        c.unit_price, c.billable, -c.quantity
                 FROM captures c LEFT JOIN captures x ON x.id = c.corrects_id
                 CROSS JOIN (VALUES (true), (false)) AS k (per_job)
                 WHERE NOT c.borne AND coalesce(x.month = c.month, true)) x
           GROUP BY x.contract_id, x.job_id, x.month, x.used_month, x.unit, x.unit_price, x.billable
           HAVING sum(x.quantity) <> 0""",
    ),
    Check(
        "what an open month takes back of a closed one is what was taken back of its captures",
        """SELECT x.job_id AS id, x.month, x.corrected_month, x.used_month, x.unit, x.unit_price, x.billable,
                  sum(x.quantity) AS off
           FROM (SELECT job_id, month, corrected_month, used_month, unit, unit_price, billable, quantity
                 FROM rate_corrections
                 UNION ALL
                 SELECT c.job_id, c.month, x.month, c.used_month, c.unit, c.unit_price, c.billable, c.quantity
                 FROM captures c JOIN captures x ON x.id = c.corrects_id WHERE NOT c.borne AND x.month <> c.month) x
           GROUP BY 1, 2, 3, 4, 5, 6, 7 HAVING sum(x.quantity) <> 0""",
    ),
    Check(
        "a correction takes back no more than was charged",
        """SELECT c.id, c.quantity, sum(k.quantity) AS corrections
           FROM captures c JOIN captures k ON k.corrects_id = c.id AND k.leg_id = c.leg_id
           GROUP BY c.id HAVING c.quantity + sum(k.quantity) < 0""",
    ),
    Check(
        "at most one line leads a rate segment",
        """SELECT contract_id AS id, month, used_month, unit, unit_price, billable FROM rate_lines WHERE leads
           GROUP BY 1, 2, 3, 4, 5, 6 HAVING count(*) > 1""",
    ),
    # Compared in 1/3600 micro-yuan, where every price is exact: a division here would have a rounding of its own.
    Check(
        "money captured is the price of what was captured, rounded once a job for what is paid and for what is borne",
        """SELECT h.id, y.borne, coalesce(m.micros, 0) AS micros, p.parts / 3600 AS priced
           FROM holds h CROSS JOIN (VALUES (false), (true)) AS y (borne)
           LEFT JOIN (SELECT hold_id, borne, sum(captured) AS micros FROM hold_legs
                      WHERE unit = 'micro_yuan' GROUP BY 1, 2) m ON m.hold_id = h.id AND m.borne = y.borne
           LEFT JOIN (SELECT hold_id, borne, sum(captured * unit_price * 1000000
                             * CASE unit WHEN 'gpu_seconds' THEN 1 ELSE 3600 END) AS parts
                      FROM hold_legs WHERE (billable OR borne) AND unit <> 'micro_yuan' GROUP BY 1, 2) p
               ON p.hold_id = h.id AND p.borne = y.borne
           WHERE abs(coalesce(m.micros, 0) * 3600 - coalesce(p.parts, 0)) > 1800""",
    ),
    Check(
        "no customer is charged more for a job than its cap",
        """SELECT j.id, j.cap_micros, c.parts / 3600 AS charged FROM jobs j
           JOIN (SELECT job_id, sum(quantity * unit_price * 1000000
                        * CASE unit WHEN 'gpu_seconds' THEN 1 ELSE 3600 END) AS parts
                 FROM captures WHERE NOT borne GROUP BY 1) c ON c.job_id = j.id
           WHERE c.parts > j.cap_micros * 3600::numeric""",
    ),
    Check(
        "a job that has ended holds nothing",
        """SELECT j.id FROM jobs j JOIN holds h ON h.job_id = j.id
           WHERE j.status IN ('succeeded', 'failed', 'cancelled') AND h.state = 'placed'""",
    ),
    Check(
        "a grant is credited once and whole, when it is activated",
        """SELECT g.id, coalesce(sum(e.amount), 0) AS credited FROM grants g
           LEFT JOIN ledger_accounts a ON a.grant_id = g.id AND a.kind = 'granted'
           LEFT JOIN (
               SELECT s.account_id, s.amount FROM ledger_transfers t JOIN ledger_entries e ON e.transfer_id = t.id
               CROSS JOIN LATERAL (VALUES (e.debit_account_id, e.amount), (e.credit_account_id, -e.amount))
                   AS s (account_id, amount)
               WHERE t.kind = 'grant_adjusted' OR (t.kind = 'grant_credited' AND s.amount > 0)
           ) e ON e.account_id = a.id
           GROUP BY g.id
           HAVING coalesce(sum(e.amount), 0) <> CASE WHEN g.activated_at IS NULL THEN 0 ELSE g.quantity END""",
    ),
    Check(
        "an invoice is the sum of its lines",
        """SELECT i.id, i.total_micros, coalesce(sum(l.amount_micros), 0) AS lines
           FROM invoices i LEFT JOIN invoice_lines l ON l.invoice_id = i.id
           GROUP BY i.id HAVING i.total_micros <> coalesce(sum(l.amount_micros), 0)""",
    ),
    Check(
        "a line of an invoice is the price of what it bills, to less than a fen; of what it takes back, to two",
        """SELECT l.invoice_id AS id, l.position, l.amount_micros
           FROM invoice_lines l CROSS JOIN LATERAL (SELECT
               abs(l.amount_micros) * 3600
               - abs(l.quantity) * l.unit_price * 1000000 * CASE l.meter WHEN 'gpu_seconds' THEN 1 ELSE 3600 END AS off,
               10000 * 3600 * CASE WHEN l.quantity < 0 THEN 2 ELSE 1 END AS most) x
           WHERE x.off >= x.most
              OR -x.off >= x.most AND NOT coalesce(jsonb_path_exists(l.basis, '$.returns[*].credited'), false)""",
    ),
    Check(
        "a final invoice bills what its month captured, and takes off what an advance has paid",
        """SELECT i.id, x.job_id, x.meter, sum(x.quantity) AS billed_less_captured
           FROM invoices i CROSS JOIN LATERAL (
               SELECT l.kind, l.job_id, l.meter, l.unit_price, l.quantity FROM invoice_lines l
               WHERE l.invoice_id = i.id AND l.kind IN ('usage', 'correction', 'advance')
               UNION ALL
               SELECT CASE k.kind WHEN 'usage' THEN
                          CASE WHEN c.used_month = c.month AND coalesce(x.month = c.month, true)
                              THEN 'usage' ELSE 'correction' END
                          ELSE k.kind END,
                      c.job_id, c.unit, c.unit_price, -c.quantity
               FROM captures c LEFT JOIN captures x ON x.id = c.corrects_id
               JOIN (VALUES ('usage', true), ('usage', false), ('advance', false))
                   AS k (kind, billable) ON k.billable = c.billable
               WHERE c.contract_id = i.contract_id AND c.month = i.month AND NOT c.borne
           ) x
           WHERE i.kind = 'usage' AND i.status <> 'draft'
           GROUP BY i.id, x.kind, x.job_id, x.meter, x.unit_price HAVING sum(x.quantity) <> 0""",
    ),
)

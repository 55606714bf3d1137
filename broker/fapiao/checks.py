"""What must hold of fapiao, and between them and the invoices that they are of, as `broker ledger verify` asks."""

from broker.ledger.reading.verify import Check

FAPIAO_CHECKS = (
    Check(
        "a fapiao has a number and a day from its issue on, and its amount is that of its lines",
        """SELECT f.id, f.status, f.amount_micros, l.micros AS of_lines
           FROM fapiao f CROSS JOIN LATERAL (
               SELECT sum(((line->>'net')::numeric + (line->>'tax')::numeric) * 1000000)::bigint AS micros
               FROM jsonb_array_elements(f.lines) line) l
           WHERE f.amount_micros <> l.micros
              OR (f.status = 'issued') <> (f.number IS NOT NULL AND f.issued_on IS NOT NULL)""",
    ),
    Check(
        "red fapiao take back no more than the issued one that they name, and are its customer's",
        """SELECT f.id, f.amount_micros, sum(r.amount_micros) AS taken_back
           FROM fapiao f JOIN fapiao r ON r.red_of_id = f.id
           GROUP BY f.id
           HAVING f.amount_micros + sum(r.amount_micros) < 0 OR f.status <> 'issued' OR f.red_of_id IS NOT NULL
               OR bool_or(r.customer_id <> f.customer_id)""",
    ),
    Check(
        "a customer's fapiao are of no more than its final invoices had asked for when each was requested",
        """SELECT f.id, invoiced.micros AS invoiced, asked.micros AS asked
           FROM fapiao f CROSS JOIN LATERAL (
               SELECT sum(o.amount_micros) AS micros FROM fapiao o
               WHERE o.customer_id = f.customer_id AND o.created_at <= f.created_at
                 AND (o.status <> 'cancelled' OR o.ended_at > f.created_at)
           ) invoiced CROSS JOIN LATERAL (
               SELECT coalesce(sum(i.total_micros), 0) AS micros FROM invoices i
               WHERE i.customer_id = f.customer_id AND i.total_micros > 0 AND i.finalized_at <= f.created_at
                 AND (i.status <> 'void' OR i.kind = 'usage')
           ) asked
           WHERE f.red_of_id IS NULL AND f.status IN ('requested', 'issued') AND invoiced.micros > asked.micros""",
    ),
    Check(
        "a fapiao is booked step by step, each once and whole, and nothing is booked without one",
        """WITH expected AS (
               SELECT id, customer_id, abs(amount_micros) AS micros, step FROM fapiao CROSS JOIN LATERAL unnest(
                   CASE WHEN red_of_id IS NOT NULL THEN ARRAY['fapiao_taken_back']
                        WHEN status = 'issued' THEN ARRAY['fapiao_requested', 'fapiao_issued']
                        WHEN status = 'cancelled' THEN ARRAY['fapiao_requested', 'fapiao_cancelled']
                        ELSE ARRAY['fapiao_requested'] END) AS step
           ), booked AS (
               SELECT t.reference AS id, t.customer_id, e.amount AS micros, t.kind AS step
               FROM ledger_transfers t JOIN ledger_entries e ON e.transfer_id = t.id WHERE t.kind LIKE 'fapiao_%'
           )
           SELECT coalesce(x.id, b.id) AS id, coalesce(x.step, b.step) AS step, x.micros, b.micros AS booked
           FROM expected x FULL JOIN booked b USING (id, customer_id, step)
           WHERE x.micros IS DISTINCT FROM b.micros""",
    ),
    Check(
        "the books have of each customer's fapiao what the fapiao say: requested, issued, and drawn in all",
        """SELECT x.customer_id AS id, x.kind, sum(x.micros) AS off
           FROM (SELECT customer_id, kind, balance AS micros FROM ledger_accounts WHERE kind LIKE 'fapiao_%'
                 UNION ALL
                 SELECT f.customer_id, s.kind, -s.micros FROM fapiao f CROSS JOIN LATERAL (VALUES
                     ('fapiao_requested', f.status = 'requested' AND f.red_of_id IS NULL, f.amount_micros),
                     ('fapiao_issued', f.status = 'issued' OR f.red_of_id IS NOT NULL, f.amount_micros),
                     ('fapiao_drawn', f.status <> 'cancelled', -f.amount_micros)
                 ) AS s (kind, counts, micros) WHERE s.counts) x
           GROUP BY 1, 2 HAVING sum(x.micros) <> 0""",
    ),
)

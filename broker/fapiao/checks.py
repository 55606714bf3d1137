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
)

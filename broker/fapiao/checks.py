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
        "a customer's fapiao are of no more than its final invoices have ever asked for",
        """WITH asked AS (
               SELECT customer_id, sum(total_micros) AS micros FROM invoices
               WHERE total_micros > 0 AND status <> 'draft' AND (status <> 'void' OR kind = 'usage')
               GROUP BY 1
           ), invoiced AS (
               SELECT customer_id, sum(amount_micros) AS micros FROM fapiao
               WHERE status IN ('requested', 'issued') GROUP BY 1
           )
           SELECT i.customer_id AS id, i.micros AS invoiced, coalesce(a.micros, 0) AS asked
           FROM invoiced i LEFT JOIN asked a USING (customer_id)
           WHERE i.micros > coalesce(a.micros, 0)""",
    ),
)

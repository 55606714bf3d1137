"""What must hold between Stripe and our books, as `broker ledger verify` asks for it."""

from broker.ledger.reading.verify import Check

STRIPE_CHECKS = (
    Check(
        "what was paid at Stripe is booked once and whole, as a payment of its own",
        """SELECT coalesce(s.id, p.serial) AS id, s.amount_micros, p.amount_micros AS booked
           FROM stripe_payments s
           FULL JOIN (SELECT * FROM payments WHERE source = 'stripe') p ON p.id = s.payment_id
           WHERE s.id IS DISTINCT FROM p.serial OR s.amount_micros IS DISTINCT FROM p.amount_micros""",
    ),
    Check(
        "what goes back by Stripe is what its refund says",
        """SELECT r.id, r.amount_micros, r.status, coalesce(sum(p.micros), 0) AS sent
           FROM refunds r JOIN stripe_steps s ON s.object_id = r.id AND s.kind = 'refund'
           LEFT JOIN LATERAL (SELECT (s.params->'body'->>'amount')::bigint * 10000 AS micros
                              WHERE s.state IN ('waiting', 'done')) p ON true
           GROUP BY r.id
           HAVING coalesce(sum(p.micros), 0) <> CASE r.status WHEN 'failed' THEN 0 ELSE r.amount_micros END""",
    ),
)

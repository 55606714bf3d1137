"""What must hold between jobs, their runs and the books, as `broker ledger verify` asks for it."""

from broker.ledger.books.causes import OUR_DOING
from broker.ledger.reading.verify import Check

OURS = ", ".join(f"'{cause.value}'" for cause in sorted(OUR_DOING))

JOB_CHECKS = (
    Check(
        "a job is of a data set, a quote and a queue that there are",
        """SELECT j.id, j.dataset_id, j.quote_id, j.queue FROM jobs j
           WHERE NOT EXISTS (SELECT FROM datasets d WHERE d.id = j.dataset_id)
              OR NOT EXISTS (SELECT FROM queues q WHERE q.name = j.queue)
              OR (j.quote_id IS NOT NULL AND NOT EXISTS (SELECT FROM quotes q WHERE q.id = j.quote_id))""",
    ),
    Check(
        "an event is of a job",
        "SELECT e.id FROM job_events e WHERE NOT EXISTS (SELECT FROM jobs j WHERE j.id = e.job_id)",
    ),
    Check(
        "an event is of the customer of its job",
        "SELECT e.id FROM job_events e JOIN jobs j ON j.id = e.job_id WHERE e.customer_id <> j.customer_id",
    ),
    Check(
        "a run that ended by our doing is charged for nothing after its last durable checkpoint",
        f"""SELECT r.id, k.step, c.unit, sum(c.quantity) AS charged
           FROM runs r
           LEFT JOIN LATERAL (SELECT max(p.step) AS step FROM checkpoints p
                              WHERE p.run_id = r.id AND p.unusable_at IS NULL) k ON true
           LEFT JOIN LATERAL (SELECT min(m.sequence) AS sequence FROM checkpoint_marks m
                              WHERE m.run_id = r.id AND m.step = k.step) m ON true
           JOIN captures c ON c.run_id = r.id AND NOT c.borne
                AND c.first_sequence > CASE WHEN k.step IS NULL THEN -1 ELSE m.sequence END
           WHERE r.bears_lost_work AND r.cause IN ({OURS})
           GROUP BY 1, 2, 3 HAVING sum(c.quantity) <> 0""",  # noqa: S608 (nothing of it comes from outside)
    ),
    Check(
        "what is told of a run's lost work is what its captures bear of it, cause by cause",
        """SELECT run_id AS id, cause, sum(gpu_seconds) AS gpu_seconds, sum(tokens) AS tokens
           FROM (SELECT run_id, cause, gpu_seconds, tokens FROM lost_work
                 UNION ALL
                 SELECT c.run_id, c.cause, CASE c.unit WHEN 'gpu_seconds' THEN -c.quantity ELSE 0 END,
                        CASE c.unit WHEN 'tokens' THEN -c.quantity ELSE 0 END
                 FROM captures c JOIN runs r ON r.id = c.run_id
                 WHERE c.borne AND c.cause <> 'over_promise' AND r.bears_lost_work AND r.cause IS NOT NULL) x
           GROUP BY 1, 2 HAVING sum(gpu_seconds) <> 0 OR sum(tokens) <> 0""",
    ),
    Check(
        "what the house bears of a job is what its captures say",
        """SELECT j.id, j.borne_gpu_seconds, j.borne_tokens, c.gpu_seconds, c.tokens
           FROM jobs j LEFT JOIN (
               SELECT job_id, sum(quantity) FILTER (WHERE unit = 'gpu_seconds') AS gpu_seconds,
                      sum(quantity) FILTER (WHERE unit = 'tokens') AS tokens
               FROM captures WHERE borne GROUP BY 1
           ) c ON c.job_id = j.id
           WHERE j.borne_gpu_seconds <> coalesce(c.gpu_seconds, 0) OR j.borne_tokens <> coalesce(c.tokens, 0)""",
    ),
    Check(
        "a job used what its runs used",
        """SELECT j.id, j.used_gpu_seconds, j.used_tokens, r.gpu_seconds, r.tokens
           FROM jobs j LEFT JOIN (
               SELECT job_id, sum(used_gpu_seconds) AS gpu_seconds, sum(used_tokens) AS tokens FROM runs GROUP BY 1
           ) r ON r.job_id = j.id
           WHERE j.used_gpu_seconds <> coalesce(r.gpu_seconds, 0) OR j.used_tokens <> coalesce(r.tokens, 0)""",
    ),
)

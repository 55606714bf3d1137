"""The SQL of the monthly cost report, in pieces that go together: lines, their sharing by GPU type, their sums.

Each piece of lines has the same columns: whose they are, `kind`, `job_id`, `project_id`, the key of a line, `quantity`,
and `listed` and `amount` in micro-yuan. All of it is written here: what is asked for comes in as parameters.
"""
# ruff: noqa: S608

FEN = 10_000
# Whose rows are asked for, and which may be seen: the same rule as row-level security, kept here a second time.
SEEN = """(CAST(:asking AS text) IS NULL OR {0}.customer_id = :asking)
      AND (CAST(:customer_id AS text) IS NULL OR {0}.customer_id = :customer_id)
      AND (CAST(:contract_id AS text) IS NULL OR {0}.contract_id = :contract_id)"""
NOT_CLOSED = "NOT EXISTS (SELECT FROM closed_months m WHERE (m.contract_id, m.month) = ({0}.contract_id, {0}.month))"
# What tells a month's lines from each other; `taken`: it takes back of a closed month. `cause` is empty but where the
# house bears it.
KEY = "contract_id, job_id, used_month, unit, unit_price, billable, taken, cause"
PER = "CASE unit WHEN 'gpu_seconds' THEN 3600 ELSE 1 END"


def round_half_even(dividend: str, divisor: str) -> str:
    """Write the rounding of a quotient, half-even to a whole number, exactly; neither is below zero."""
    whole, rest = f"div({dividend}, {divisor})", f"2 * mod({dividend}, {divisor})"
    up = count_if(f"{rest} > {divisor} OR {rest} = {divisor} AND mod({whole}, 2) <> 0")
    return f"{whole} + {up}"


def count_if(condition: str) -> str:
    """Write one where a condition holds, else zero."""
    return f"CASE WHEN {condition} THEN 1 ELSE 0 END"


def round_lines(source: str, segment: str) -> str:
    """Write `pricing/rounding.round_segment` in SQL: a segment is rounded once, its lines by largest remainder.

    `source` has `quantity`, `unit`, `unit_price`, `leads`, `job_id` and `rate_card_version`; a line's share is added as
    `amount`. Below zero, as where a month takes back more than it bore, it rounds down first as well.
    """
    over = f"(PARTITION BY {segment})"
    up = count_if("2 * whole_rest > per OR 2 * whole_rest = per AND mod(whole_fen, 2) <> 0")
    one_more = count_if(f"""row_number() OVER (
               PARTITION BY {segment}
               ORDER BY leads AND 2 * rest < per OR rest = 0, rest DESC, job_id COLLATE "C",
                        rate_card_version COLLATE "C")
               <= whole_fen + {up} - sum(fen) OVER {over}""")
    return f"""
    SELECT r.*, {FEN} * (fen + {one_more}) AS amount
    FROM (SELECT r.*, div(x - rest, per) AS fen, div(whole_x - whole_rest, per) AS whole_fen
          FROM (SELECT r.*, mod(mod(x, per) + per, per) AS rest, mod(mod(whole_x, per) + per, per) AS whole_rest
                FROM (SELECT r.*, {PER}::numeric AS per, quantity * unit_price * 100 AS x,
                             sum(quantity * unit_price * 100) OVER {over} AS whole_x
                      FROM ({source}) r) r) r) r"""


# Captures of a month by line, version and run; what a month has taken back of itself is taken off.
UNITS = f"""
    SELECT c.customer_id, c.contract_id, c.month, c.job_id, c.run_id, c.used_month, c.unit, c.unit_price, c.billable,
           c.rate_card_version, coalesce(c.cause, '') AS cause, sum(c.quantity) AS quantity,
           CASE WHEN c.corrects_id IS NULL OR c.borne THEN false
                ELSE (SELECT x.month <> c.month FROM captures x WHERE x.id = c.corrects_id) END AS taken
    FROM captures c WHERE c.month = :month AND {SEEN.format("c")} AND {{wanted}}
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13"""
# What runs are told apart by: the type of their devices, or the pool that these are of.
GPU_TYPE, POOL = "coalesce(r.gpu_type, s.gpu_type)", "r.pool"
TOLD = f"""
    SELECT u.*, {{told}} AS gpu_type
    FROM ({UNITS}) u LEFT JOIN runs r ON r.id = u.run_id LEFT JOIN usage_streams s ON s.id = u.run_id"""
TYPED = TOLD.replace("{told}", GPU_TYPE)

# Lines of final invoices, void ones among them: their credit notes take those off in the month of the void. A line of
# usage that tells no list price, as those of before 0.2, is listed as charged.
FINAL = f"""
    SELECT i.customer_id, i.contract_id, i.contract_number, l.job_id, l.project_id, l.kind, l.meter AS unit,
           coalesce(l.used_month, i.month) AS used_month, l.unit_price, l.quantity,
           coalesce(l.quantity < 0, false) AS taken, {{billable}} AS billable, '' AS cause,
           l.amount_micros::numeric AS amount,
           coalesce(l.list_amount_micros, l.amount_micros)::numeric AS listed
    FROM invoices i JOIN invoice_lines l ON l.invoice_id = i.id
    WHERE i.kind = 'usage' AND i.month = :month AND i.status <> 'draft' AND l.kind <> 'borne'
      AND {SEEN.format("i")}"""
IS_BILLABLE = """coalesce(l.kind <> 'advance' AND lead(l.kind) OVER (
               PARTITION BY l.invoice_id ORDER BY l.position) IS DISTINCT FROM 'advance', true)"""

# Lines of months under way, rounded as their invoices will be; what is taken back of closed months has its amount.
RATED = f"SELECT r.* FROM rate_lines r WHERE r.month = :month AND r.quantity > 0 AND {SEEN.format('r')} AND " + (
    NOT_CLOSED.format("r")
)
PRICES = """unnest(CAST(:versions AS text[]), CAST(:types AS text[]), CAST(:meters AS text[]),
                      CAST(:prices AS numeric[])) AS p (version, type, meter, price)"""
# Where a job ran on one type only, under a card that its contract pins, its line has one list price. Other lines are
# priced capture by capture: that reads a hundred times as many rows.
ALIKE = """
    SELECT r.*, coalesce(j.project_id, s.project_id) AS project_id, c.contract_number, t.gpu_type,
           coalesce(t.types, 1) = 1 AND c.card_choice = 'pinned' AND jsonb_array_length(c.changes) = 0 AS alike
    FROM ({rounded}) r JOIN contracts c ON c.id = r.contract_id
    LEFT JOIN jobs j ON j.id = r.job_id LEFT JOIN usage_streams s ON s.id = r.job_id
    LEFT JOIN LATERAL (SELECT s.gpu_type, 1 AS types WHERE s.id IS NOT NULL
                       UNION ALL SELECT * FROM (SELECT min(u.gpu_type), count(DISTINCT coalesce(u.gpu_type, ''))
                                                FROM runs u WHERE u.job_id = r.job_id) u WHERE s.id IS NULL) t
        ON true"""
# Where every line is alike, no capture is looked at.
OF_SEVERAL = """NOT c.borne AND EXISTS (SELECT FROM rated WHERE NOT alike)
              AND c.job_id IN (SELECT job_id FROM rated WHERE NOT alike)"""
LISTED = f"""
    SELECT {KEY}, sum({FEN} * ({round_half_even("x", "per")})) AS listed
    FROM (SELECT {KEY}, rate_card_version, {PER}::numeric AS per, sum(quantity * p.price * 100) AS x
          FROM ({TYPED.format(wanted=OF_SEVERAL)}) u
          JOIN {PRICES}
              ON p.version = u.rate_card_version AND p.meter = u.unit AND p.type = coalesce(u.gpu_type, '')
          WHERE quantity > 0 AND NOT taken GROUP BY {KEY}, rate_card_version) x
    GROUP BY {KEY}"""
LINE = "contract_id, job_id, used_month, unit, unit_price, billable"
OPEN = f"""
    WITH rated AS MATERIALIZED ({ALIKE.format(rounded=round_lines(RATED, LINE.replace("job_id, ", "")))}),
    listed AS ({LISTED}),
    priced AS (
        SELECT r.*, CASE WHEN r.alike
                         THEN {FEN} * ({round_half_even("(r.quantity * p.price * 100)", "r.per")})
                         ELSE l.listed END AS listed
        FROM rated r
        LEFT JOIN {PRICES}
            ON r.alike AND p.version = r.rate_card_version AND p.meter = r.unit AND p.type = coalesce(r.gpu_type, '')
        LEFT JOIN listed l ON NOT r.alike AND NOT l.taken
            AND ({", ".join(f"l.{name}" for name in LINE.split(", "))})
              = ({", ".join(f"r.{name}" for name in LINE.split(", "))}))
    SELECT r.customer_id, r.contract_id, r.job_id, r.used_month, r.unit, r.unit_price, r.billable, false AS taken,
           '' AS cause, CASE r.used_month WHEN r.month THEN 'usage' ELSE 'correction' END AS kind,
           r.quantity::numeric AS quantity, r.amount, coalesce(r.listed, r.amount) AS listed, r.contract_number,
           r.project_id
    FROM priced r
    UNION ALL
    SELECT t.customer_id, t.contract_id, t.job_id, t.used_month, t.unit, t.unit_price, t.billable, true, '',
           'correction', -t.quantity, -t.micros, -t.micros, c.contract_number, coalesce(j.project_id, s.project_id)
    FROM (SELECT t.customer_id, t.contract_id, t.job_id, t.used_month, t.unit, t.unit_price, t.billable,
                 sum(t.quantity) AS quantity, sum(t.amount_micros) AS micros
          FROM rate_corrections t
          WHERE t.month = :month AND {NOT_CLOSED.format("t")} AND {SEEN.format("t")} GROUP BY 1, 2, 3, 4, 5, 6, 7) t
    JOIN contracts c ON c.id = t.contract_id
    LEFT JOIN jobs j ON j.id = t.job_id LEFT JOIN usage_streams s ON s.id = t.job_id"""

# What the house bore in a month, rounded as the margin report has it.
BORNE = """
    SELECT b.*, 'borne' AS kind, NULL::numeric AS listed, c.contract_number,
           coalesce(j.project_id, s.project_id) AS project_id
    FROM ({rounded}) b JOIN contracts c ON c.id = b.contract_id
    LEFT JOIN jobs j ON j.id = b.job_id LEFT JOIN usage_streams s ON s.id = b.job_id"""
BORNE = BORNE.format(
    rounded=round_lines(
        f"""SELECT customer_id, contract_id, job_id, used_month, unit, unit_price, billable, taken, cause,
                   rate_card_version, false AS leads, sum(quantity) AS quantity
            FROM ({UNITS.format(wanted="c.borne")}) u GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10""",
        "contract_id, used_month, unit, unit_price, billable, cause",
    )
)

# Usage that a grant has paid is taken off again: on an invoice by a line of its own, of open months by what it is.
SUMS = """
    count(DISTINCT job_id) FILTER (WHERE kind IN ('usage', 'correction') AND job_id LIKE 'job\\_%') AS jobs,
    sum(quantity) FILTER (WHERE kind IN ('usage', 'correction') AND unit = 'gpu_seconds') AS gpu_seconds,
    sum(quantity) FILTER (WHERE kind IN ('usage', 'correction') AND unit = 'tokens') AS tokens,
    sum(listed) FILTER (WHERE kind IN ('usage', 'correction')) AS listed,
    sum(amount) FILTER (WHERE kind IN ('usage', 'correction') AND unit = 'gpu_seconds') AS gpu_cost,
    sum(amount) FILTER (WHERE kind IN ('usage', 'correction') AND unit = 'tokens') AS token_cost,
    {advance} AS advance,
    sum(amount) FILTER (WHERE kind = 'tier_settlement') AS tier_settlement,
    sum(amount) FILTER (WHERE kind = 'guarantee') AS guarantee,
    sum(amount) FILTER (WHERE kind = 'true_up') AS true_up,
    sum(amount) FILTER (WHERE kind = 'tax') AS tax,
    sum(amount) FILTER (WHERE kind = 'borne') AS lost"""
BY_LINES = "-sum(amount) FILTER (WHERE kind = 'advance')"
BY_USAGE = "sum(amount) FILTER (WHERE kind IN ('usage', 'correction') AND NOT billable)"


def sum_lines(lines: str, advance: str, gpu_type: str = "NULL::text") -> str:
    """Write the sums of lines by contract, project and GPU type, and whether amendments have changed the contract."""
    return f"""
    SELECT l.customer_id, l.contract_id, l.contract_number, c.plan, l.project_id, {gpu_type} AS gpu_type,
           jsonb_array_length(c.changes) > 0 AS amended, {SUMS.format(advance=advance)}
    FROM ({lines}) l JOIN contracts c ON c.id = l.contract_id
    GROUP BY 1, 2, 3, 4, 5, 6, 7"""


# Shares whole fen among the parts of a line by their units, by largest remainder: the parts add up to the whole.
SHARED = """
    SELECT s.*, sign({0}) * {fen} * (whole_{0} + CASE WHEN row_number() OVER (
               PARTITION BY line ORDER BY rest_{0} DESC, gpu_type NULLS LAST)
               <= abs({0}) / {fen} - sum(whole_{0}) OVER (PARTITION BY line) THEN 1 ELSE 0 END) AS shared_{0}
    FROM (SELECT s.*, div(abs({0}) / {fen} * part - rest_{0}, whole) AS whole_{0}
          FROM (SELECT s.*, mod(mod(abs({0}) / {fen} * part, whole) + whole, whole) AS rest_{0}
                FROM ({source}) s) s) s"""


def share_lines(lines: str, wanted: str, told: str = GPU_TYPE) -> str:
    """Share lines of usage among the GPU types (or pools) of the runs that they are of; what is no usage has none."""
    parted = """
        SELECT l.*, p.gpu_type, coalesce(p.part * sign(p.whole), 1) AS part, coalesce(abs(p.whole), 1) AS whole,
               coalesce(p.part, l.quantity) AS units
        FROM (SELECT *, row_number() OVER () AS line FROM summed) l
        LEFT JOIN parts p ON (p.contract_id, p.job_id, p.used_month, p.unit, p.unit_price, p.billable, p.taken, p.cause)
            = (l.contract_id, l.job_id, l.used_month, l.unit, l.unit_price, l.billable, l.taken, l.cause)"""
    shared = SHARED.format("amount", fen=FEN, source=parted)
    both = SHARED.format("listed", fen=FEN, source=shared)
    whose = "customer_id, contract_number, project_id"
    return f"""
    WITH lines AS MATERIALIZED ({lines}),
    summed AS (SELECT {whose}, {KEY}, min(kind) AS kind, sum(quantity) AS quantity, sum(amount) AS amount,
                      sum(listed) AS listed
               FROM lines WHERE job_id IS NOT NULL GROUP BY {whose}, {KEY}, kind = 'advance'),
    parts AS (SELECT p.*, sum(part) OVER (PARTITION BY {KEY}) AS whole
              FROM (SELECT {KEY}, gpu_type, sum(quantity) AS part FROM ({TOLD.format(wanted=wanted, told=told)}) u
                    GROUP BY {KEY}, gpu_type HAVING sum(quantity) <> 0) p)
    SELECT {whose}, contract_id, job_id, gpu_type, kind, cause, unit, billable, units AS quantity,
           shared_listed AS listed, shared_amount AS amount
    FROM ({both}) s
    UNION ALL
    SELECT {whose}, contract_id, NULL, NULL, kind, cause, unit, billable, quantity, listed, amount
    FROM lines WHERE job_id IS NULL"""

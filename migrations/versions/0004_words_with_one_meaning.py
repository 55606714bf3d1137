"""Words with one meaning: limit, balance, advance and borne take the places of budget, out_of_balance and house.

Records get other words, too: no amount and no fact of theirs changes.
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

RECORDS = ("rate_cards", "ledger_transfers", "job_events")
STOP_REASONS = {"budget": "limit", "out_of_balance": "balance"}


def upgrade() -> None:
    op.execute("SELECT set_config('broker.scope', 'all', true)")
    op.alter_column("grants", "bought_ahead", new_column_name="advance")
    for table in ("hold_legs", "captures"):
        op.execute(f"ALTER TABLE {table} ALTER COLUMN payer TYPE boolean USING payer = 'house'")
        op.alter_column(table, "payer", new_column_name="borne")
    rename_values(STOP_REASONS, borne_source=("house", "borne_issued"), line=("prepaid_applied", "advance"))
    rename_in_records(STOP_REASONS, terms=("bought_ahead", "advance"), transfer=("hold_refitted", "hold_adjusted"))


def rename_values(reasons: dict[str, str], *, borne_source: tuple[str, str], line: tuple[str, str]) -> None:
    for before, after in reasons.items():
        for column in ("stop_requested", "pause_reason"):
            op.execute(f"UPDATE jobs SET {column} = '{after}' WHERE {column} = '{before}'")
    rename_kind("ledger_accounts", borne_source)
    rename_kind("invoice_lines", line)


def rename_in_records(reasons: dict[str, str], *, terms: tuple[str, str], transfer: tuple[str, str]) -> None:
    for table in RECORDS:
        op.execute(f"ALTER TABLE {table} DISABLE TRIGGER refuse_change")
    for before, after in reasons.items():
        op.execute(
            f"""UPDATE job_events SET data = jsonb_set(data, '{{reason}}', '"{after}"')
                WHERE kind = 'stop_requested' AND data ->> 'reason' = '{before}'"""
        )
    rename_kind("ledger_transfers", transfer)
    before, after = terms
    op.execute(
        f"""UPDATE rate_cards SET document = jsonb_set(document, '{{plans}}', (
                SELECT jsonb_object_agg(name, (plan - '{before}') || jsonb_build_object('{after}', plan -> '{before}'))
                FROM jsonb_each(document -> 'plans') AS plans (name, plan)))"""
    )
    for table in RECORDS:
        op.execute(f"ALTER TABLE {table} ENABLE TRIGGER refuse_change")


def rename_kind(table: str, words: tuple[str, str]) -> None:
    before, after = words
    op.execute(f"UPDATE {table} SET kind = '{after}' WHERE kind = '{before}'")


def downgrade() -> None:
    op.execute("SELECT set_config('broker.scope', 'all', true)")
    reasons = {after: before for before, after in STOP_REASONS.items()}
    rename_in_records(reasons, terms=("advance", "bought_ahead"), transfer=("hold_adjusted", "hold_refitted"))
    rename_values(reasons, borne_source=("borne_issued", "house"), line=("advance", "prepaid_applied"))
    for table in ("hold_legs", "captures"):
        op.alter_column(table, "borne", new_column_name="payer")
        op.execute(
            f"ALTER TABLE {table} ALTER COLUMN payer TYPE varchar"
            " USING CASE WHEN payer THEN 'house' ELSE 'customer' END"
        )
    op.alter_column("grants", "advance", new_column_name="bought_ahead")

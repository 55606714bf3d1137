"""What a contract can give to new holds has a version: another one as soon as there may be more, or by other rules.

Whoever remembers it with its version may go on from there, less what it has taken itself since: what others have taken
meanwhile the balances' own constraint refuses to give twice. The version is the transaction's number, so that several
changes of one transaction are one.
"""

import sqlalchemy as sa
from alembic import op

revision = "0076"
down_revision = "0075"
branch_labels = None
depends_on = None

OWN_ROWS = (
    "(SELECT current_setting('broker.scope', true) = 'all') OR ((SELECT current_setting('broker.scope', true) ="
    " 'tenant') AND customer_id = (SELECT current_setting('broker.customer_id', true)))"
)
ROWS_OF_BATCH = (
    "(SELECT current_setting('broker.scope', true) = 'tenants') AND customer_id = ANY"
    " ((SELECT string_to_array(current_setting('broker.customer_id', true), ','))::text[])"
)
# Of which row's change, and under which column that row has its contract.
CHANGES = {
    "contracts": ("INSERT OR UPDATE", "id", ""),
    "grants": ("INSERT OR UPDATE", "contract_id", ""),
    "ledger_accounts": (
        "UPDATE OF balance",
        "contract_id",
        "WHEN (NEW.kind = 'granted' AND NEW.balance > OLD.balance)",
    ),
}


def upgrade() -> None:
    op.create_table(
        "reserve_versions",
        sa.Column("contract_id", sa.String(), nullable=False),
        sa.Column("customer_id", sa.String(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("contract_id", name=op.f("pk_reserve_versions")),
        sa.ForeignKeyConstraint(
            ["contract_id", "customer_id"],
            ["contracts.id", "contracts.customer_id"],
            name=op.f("fk_reserve_versions_contract_id_contracts"),
        ),
    )
    op.execute("SET LOCAL broker.scope TO 'all'")
    op.execute("INSERT INTO reserve_versions SELECT id, customer_id, 0 FROM contracts")
    op.execute("ALTER TABLE reserve_versions ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE reserve_versions FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY own_rows ON reserve_versions USING ({OWN_ROWS}) WITH CHECK ({OWN_ROWS})")
    op.execute(f"CREATE POLICY rows_of_batch ON reserve_versions USING ({ROWS_OF_BATCH}) WITH CHECK ({ROWS_OF_BATCH})")
    op.execute("GRANT SELECT, INSERT, UPDATE ON reserve_versions TO broker_app")
    op.execute(
        """
        CREATE FUNCTION note_changed_reserves(contract text, customer text) RETURNS void LANGUAGE sql AS $$
            INSERT INTO reserve_versions VALUES (contract, customer, pg_current_xact_id()::text::bigint)
            ON CONFLICT (contract_id) DO UPDATE SET version = excluded.version
            WHERE reserve_versions.version <> excluded.version
        $$
        """
    )
    op.execute(
        """
        CREATE FUNCTION require_supposed(holds boolean) RETURNS void LANGUAGE plpgsql AS $$
        BEGIN
            IF holds IS NOT TRUE THEN
                RAISE EXCEPTION 'something is not as it was supposed to be' USING ERRCODE = 'assert_failure';
            END IF;
        END $$
        """
    )
    for table, (change, column, condition) in CHANGES.items():
        op.execute(
            f"""
            CREATE FUNCTION note_changed_reserves_of_{table}() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                PERFORM note_changed_reserves(NEW.{column}, NEW.customer_id);
                RETURN NULL;
            END $$
            """
        )
        op.execute(
            f"CREATE TRIGGER note_changed_reserves AFTER {change} ON {table} FOR EACH ROW {condition}"
            f" EXECUTE FUNCTION note_changed_reserves_of_{table}()"
        )


def downgrade() -> None:
    for table in CHANGES:
        op.execute(f"DROP TRIGGER note_changed_reserves ON {table}")
        op.execute(f"DROP FUNCTION note_changed_reserves_of_{table}()")
    op.execute("DROP FUNCTION require_supposed(boolean)")
    op.execute("DROP FUNCTION note_changed_reserves(text, text)")
    op.drop_table("reserve_versions")

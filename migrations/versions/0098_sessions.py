"""Sessions of the console: each is a bearer for as long as its key is one, and no longer than its own end."""

import sqlalchemy as sa
from alembic import op

revision = "0098"
down_revision = "0097"
branch_labels = None
depends_on = None

APP_ROLE = "broker_app"
OWN_ROWS = (
    "(SELECT current_setting('broker.scope', true) = 'all') OR ((SELECT current_setting('broker.scope', true) ="
    " 'tenant') AND customer_id = (SELECT current_setting('broker.customer_id', true)))"
)
ROWS_OF_BATCH = (
    "(SELECT current_setting('broker.scope', true) = 'tenants') AND customer_id = ANY"
    " ((SELECT string_to_array(current_setting('broker.customer_id', true), ','))::text[])"
)
OF_KEYS = "SELECT key_hash, id, role, customer_id, expires_at, revoked_at FROM api_keys WHERE key_hash = ANY (hashes)"
OF_SESSIONS = (
    "SELECT s.token_hash, k.id, k.role, k.customer_id, LEAST(s.expires_at, k.expires_at), k.revoked_at"
    " FROM sessions s JOIN api_keys k ON k.id = s.api_key_id WHERE s.token_hash = ANY (hashes)"
)
ARE_GOOD = (
    "WHERE {0}key_hash = ANY (hashes) AND {0}revoked_at IS NULL AND ({0}expires_at IS NULL OR {0}expires_at > moment)"
    " AND concat_ws(' ', {0}key_hash, {0}id, {0}role, {0}customer_id) = ANY (told)"
)


def upgrade() -> None:
    create_sessions()
    op.execute("ALTER TABLE sessions ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE sessions FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY own_rows ON sessions USING ({OWN_ROWS}) WITH CHECK ({OWN_ROWS})")
    op.execute(f"CREATE POLICY rows_of_batch ON sessions USING ({ROWS_OF_BATCH}) WITH CHECK ({ROWS_OF_BATCH})")
    op.execute(
        "CREATE POLICY authenticate ON sessions FOR SELECT"
        " USING (current_setting('broker.scope', true) = 'authenticate')"
    )
    op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON sessions TO {APP_ROLE}")
    op.execute(
        f"""
        CREATE FUNCTION find_bearers(hashes text[])
            RETURNS TABLE (key_hash varchar, id varchar, role varchar, customer_id varchar, expires_at timestamptz,
                           revoked_at timestamptz)
            LANGUAGE sql STABLE SET broker.scope TO 'authenticate'
            AS $$ {OF_KEYS} UNION ALL {OF_SESSIONS} $$
        """
    )
    op.execute("DROP FUNCTION find_api_keys(text[])")
    # Those of sessions are asked for only where the keys are not all of them: most bearers are keys.
    op.execute(
        f"""
        CREATE OR REPLACE FUNCTION are_bearers(hashes text[], told text[], moment timestamptz) RETURNS boolean
            LANGUAGE plpgsql STABLE SET broker.scope TO 'authenticate'
            AS $$
            BEGIN
                RETURN cardinality(told) = (SELECT count(*) FROM api_keys {ARE_GOOD.format("api_keys.")})
                    OR cardinality(told) = (SELECT count(*) FROM find_bearers(hashes) AS found
                                            {ARE_GOOD.format("found.")});
            END $$
        """
    )


def create_sessions() -> None:
    op.create_table(
        "sessions",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("api_key_id", sa.String(), nullable=False),
        sa.Column("customer_id", sa.String(), nullable=True),
        sa.Column("token_hash", sa.String(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["api_key_id"], ["api_keys.id"], name=op.f("fk_sessions_api_key_id_api_keys")),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name=op.f("fk_sessions_customer_id_customers")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sessions")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_sessions_token_hash")),
    )
    op.create_index(op.f("ix_sessions_customer_id"), "sessions", ["customer_id"])
    op.create_index(op.f("ix_sessions_expires_at"), "sessions", ["expires_at"])


def downgrade() -> None:
    op.execute(
        """
        CREATE FUNCTION find_api_keys(hashes text[]) RETURNS SETOF api_keys LANGUAGE sql STABLE
            SET broker.scope TO 'authenticate'
            AS $$ SELECT * FROM api_keys WHERE key_hash = ANY (hashes) $$
        """
    )
    op.execute("DROP FUNCTION find_bearers(text[])")
    op.execute(
        """
        CREATE OR REPLACE FUNCTION are_bearers(hashes text[], told text[], moment timestamptz) RETURNS boolean
            LANGUAGE plpgsql STABLE SET broker.scope TO 'authenticate'
            AS $$
            BEGIN
                RETURN cardinality(told) = (
                    SELECT count(*) FROM api_keys
                    WHERE key_hash = ANY (hashes) AND revoked_at IS NULL
                      AND (expires_at IS NULL OR expires_at > moment)
                      AND concat_ws(' ', key_hash, id, role, customer_id) = ANY (told)
                );
            END $$
        """
    )
    op.drop_table("sessions")

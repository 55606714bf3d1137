"""The look-up of API keys, many in one statement, which has the scope to see them for as long as it runs."""

from alembic import op

revision = "0042"
down_revision = "0041"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE FUNCTION find_api_keys(hashes text[]) RETURNS SETOF api_keys LANGUAGE sql STABLE
            SET broker.scope TO 'authenticate'
            AS $$ SELECT * FROM api_keys WHERE key_hash = ANY (hashes) $$
        """
    )
    op.execute("DROP FUNCTION find_api_key(text)")


def downgrade() -> None:
    op.execute(
        """
        CREATE FUNCTION find_api_key(hash text) RETURNS SETOF api_keys LANGUAGE sql STABLE
            SET broker.scope TO 'authenticate'
            AS $$ SELECT * FROM api_keys WHERE key_hash = hash $$
        """
    )
    op.execute("DROP FUNCTION find_api_keys(text[])")

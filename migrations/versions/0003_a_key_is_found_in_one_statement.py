"""The look-up of an API key: one statement, which has the scope to see it for as long as it runs and no longer."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE FUNCTION find_api_key(hash text) RETURNS SETOF api_keys LANGUAGE sql STABLE
            SET broker.scope TO 'authenticate'
            AS $$ SELECT * FROM api_keys WHERE key_hash = hash $$
        """
    )


def downgrade() -> None:
    op.execute("DROP FUNCTION find_api_key(text)")

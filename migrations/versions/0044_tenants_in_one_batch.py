"""A transaction of several tenants, such as a batch of submissions, sees the rows of all of them and of nobody else.

`broker.scope` is then `tenants`, and `broker.customer_id` names them with commas between.
"""

from alembic import op

revision = "0044"
down_revision = "0043"
branch_labels = None
depends_on = None

IS_BATCH = "current_setting(''broker.scope'', true) = ''tenants''"
IN_BATCH = f"{IS_BATCH} AND %s = ANY (string_to_array(current_setting(''broker.customer_id'', true), '',''))"
# Whatever a tenant sees of its own: a table forgotten here would seem empty to a batch.
ISOLATED = (
    "SELECT p.polrelid::regclass AS name FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid"
    " WHERE p.polname = '{policy}' AND NOT c.relispartition"
)


def upgrade() -> None:
    op.execute(
        f"""
        DO $$ DECLARE isolated record; own text; BEGIN
            FOR isolated IN {ISOLATED.format(policy="own_rows")} LOOP
                own := format('{IN_BATCH}', CASE isolated.name WHEN 'customers'::regclass THEN 'id'
                                                               ELSE 'customer_id' END);
                EXECUTE format('CREATE POLICY rows_of_batch ON %s USING (%s) WITH CHECK (%s)',
                               isolated.name, own, own);
            END LOOP;
        END $$
        """
    )
    op.execute(
        "CREATE POLICY shared_queues_of_batch ON queues FOR SELECT"
        " USING (current_setting('broker.scope', true) = 'tenants' AND customer_id IS NULL)"
    )


def downgrade() -> None:
    op.execute("DROP POLICY shared_queues_of_batch ON queues")
    op.execute(
        f"""
        DO $$ DECLARE isolated record; BEGIN
            FOR isolated IN {ISOLATED.format(policy="rows_of_batch")} LOOP
                EXECUTE format('DROP POLICY rows_of_batch ON %s', isolated.name);
            END LOOP;
        END $$
        """
    )

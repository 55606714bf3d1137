"""Jobs, holds and transfers refer to a contract together with its customer; legs and events to what they belong to.

One check of both columns proves more than two checks of one each did: the contract is that customer's. A leg has the
customer of its hold by a rule of `broker ledger verify`. Jobs are kept as they are written, not packed: the planner
reads the estimates of all that wait, and unpacking them took it two thirds of its time in PostgreSQL.
"""

from alembic import op

revision = "0051"
down_revision = "0050"
branch_labels = None
depends_on = None

# A transfer of the house's own has neither.
OF_A_CONTRACT = {"jobs": None, "holds": None, "ledger_transfers": "FULL"}
OF_ANOTHER = ("hold_legs", "job_events")
CONTRACT, CUSTOMER = "contract_id", "customer_id"


def upgrade() -> None:
    op.create_unique_constraint(op.f("uq_contracts_id_customer_id"), "contracts", ["id", CUSTOMER])
    for table, match in OF_A_CONTRACT.items():
        _drop(table, CONTRACT, "contracts")
        _drop(table, CUSTOMER, "customers")
        name = op.f(f"fk_{table}_contract_id_contracts")
        op.create_foreign_key(name, table, "contracts", [CONTRACT, CUSTOMER], ["id", CUSTOMER], match=match)
    for table in OF_ANOTHER:
        _drop(table, CUSTOMER, "customers")
    op.execute("ALTER TABLE jobs SET (toast_tuple_target = 8160)")


def downgrade() -> None:
    op.execute("ALTER TABLE jobs RESET (toast_tuple_target)")
    for table in OF_A_CONTRACT:
        _drop(table, CONTRACT, "contracts")
        _refer(table, CONTRACT, "contracts")
    for table in (*OF_A_CONTRACT, *OF_ANOTHER):
        _refer(table, CUSTOMER, "customers")
    op.drop_constraint(op.f("uq_contracts_id_customer_id"), "contracts", type_="unique")


def _drop(table: str, column: str, referred: str) -> None:
    op.drop_constraint(op.f(f"fk_{table}_{column}_{referred}"), table, type_="foreignkey")


def _refer(table: str, column: str, referred: str) -> None:
    op.create_foreign_key(op.f(f"fk_{table}_{column}_{referred}"), table, referred, [column], ["id"])

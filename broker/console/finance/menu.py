"""The pages that finance has in its menu; a page is listed here when it is there."""

from broker.console.frame.menu import N_, MenuGroup, MenuItem
from broker.work import Role

MENU = MenuGroup(
    N_("Finance"),
    frozenset({Role.FINANCE, Role.ADMIN}),
    (
        MenuItem("/console/finance/today", N_("Today"), "t"),
        MenuItem("/console/finance/month", N_("Month"), "m"),
        MenuItem("/console/finance/invoices", N_("Invoices"), "i"),
        MenuItem("/console/finance/closing", N_("Closing"), "c"),
        MenuItem("/console/finance/receivables", N_("Receivables"), "r"),
        MenuItem("/console/finance/payments", N_("Payments"), "y"),
        MenuItem("/console/finance/refunds", N_("Refunds"), "b"),
        MenuItem("/console/finance/fapiao", N_("Fapiao"), "f"),
        MenuItem("/console/finance/commitments", N_("Commitments"), "o"),
        MenuItem("/console/finance/plan-advice", N_("Plan advice"), "v"),
        MenuItem("/console/finance/reconciliation", N_("Reconciliation"), "l"),
        MenuItem("/console/finance/customers", N_("Customers"), "e"),
    ),
)

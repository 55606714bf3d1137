"""The pages that finance has in its menu; a page is listed here when it is there."""

from broker.console.frame.menu import N_, MenuGroup, MenuItem
from broker.work import Role

MENU = MenuGroup(
    N_("Finance"),
    frozenset({Role.FINANCE, Role.ADMIN}),
    (MenuItem("/console/finance/month", N_("Month"), "m"),),
)

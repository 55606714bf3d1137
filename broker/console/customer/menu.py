"""The pages that customers have in their menu; a page is listed here when it is there."""

from broker.console.frame.menu import N_, MenuGroup, MenuItem
from broker.work import Role

MENU = MenuGroup(
    N_("Training"),
    frozenset({Role.CUSTOMER}),
    (MenuItem("/console/", N_("Home"), "h"),),
)

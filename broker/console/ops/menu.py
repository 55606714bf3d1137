"""The pages that ops has in its menu; a page is listed here when it is there."""

from broker.console.frame.menu import N_, MenuGroup, MenuItem
from broker.work import Role

MENU = MenuGroup(
    N_("Operations"),
    frozenset({Role.OPS, Role.ADMIN}),
    (MenuItem("/console/ops/pools", N_("Pools"), "p"),),
)

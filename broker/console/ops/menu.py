"""The pages that ops has in its menu; a page is listed here when it is there."""

from broker.console.frame.menu import N_, MenuGroup, MenuItem
from broker.work import Role

MENU = MenuGroup(
    N_("Operations"),
    frozenset({Role.OPS, Role.ADMIN}),
    (
        MenuItem("/console/ops/home", N_("Operations"), "h"),
        MenuItem("/console/ops/pools", N_("Pools"), "p"),
        MenuItem("/console/ops/agents", N_("Agents"), "a"),
        MenuItem("/console/ops/queues", N_("Queues"), "q"),
        MenuItem("/console/ops/shares", N_("Shares"), "s"),
        MenuItem("/console/ops/what-if", N_("What if"), "w"),
        MenuItem("/console/ops/environments", N_("Environments"), "d"),
        MenuItem("/console/ops/retention", N_("Retention"), "n"),
        MenuItem("/console/ops/audit", N_("Audit"), "u"),
    ),
)

"""The pages that customers have in their menu; a page is listed here when it is there."""

from broker.console.frame.menu import N_, MenuGroup, MenuItem
from broker.work import Role

MENU = MenuGroup(
    N_("Training"),
    frozenset({Role.CUSTOMER}),
    (
        MenuItem("/console/", N_("Home"), "h"),
        MenuItem("/console/jobs", N_("Jobs"), "j"),
        MenuItem("/console/datasets", N_("Data sets"), "d"),
        MenuItem("/console/templates", N_("Templates"), "t"),
        MenuItem("/console/adapters", N_("Adapters"), "a"),
        MenuItem("/console/environments", N_("Environments"), "e"),
        MenuItem("/console/billing", N_("Billing"), "b"),
        MenuItem("/console/keys", N_("API keys"), "k"),
        MenuItem("/console/webhooks", N_("Webhooks"), "w"),
        MenuItem("/console/secrets", N_("Secrets"), "s"),
        MenuItem("/console/people", N_("People"), "p"),
        MenuItem("/console/account", N_("Account"), "o"),
    ),
)

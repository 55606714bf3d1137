"""Words that stand in the database and are said on ops' pages: marked here, so that catalogues have them."""

from broker.console.frame.menu import N_

# What a template says with `_(word)`: states of pools, agents, queues, jobs and simulations, kinds, reasons.
WORDS = (
    N_("open"),
    N_("closed"),
    N_("unserved"),
    N_("draining"),
    N_("silent"),
    N_("resting"),
    N_("nodes_closed"),
    N_("outdated"),
    N_("live"),
    N_("gone"),
    N_("holding"),
    N_("queued"),
    N_("dispatched"),
    N_("running"),
    N_("paused"),
    N_("succeeded"),
    N_("failed"),
    N_("cancelled"),
    N_("done"),
    N_("queues"),
    N_("pools"),
    N_("contracts"),
)

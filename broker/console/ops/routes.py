"""The routes of all pages for ops: a new page's router is listed here."""

from fastapi import APIRouter

from broker.console.ops.agents_page import router as agents
from broker.console.ops.audit_page import router as audit
from broker.console.ops.environments_page import router as environments
from broker.console.ops.home_page import router as home
from broker.console.ops.pools_page import router as pools
from broker.console.ops.queues_page import router as queues
from broker.console.ops.retention_page import router as retention
from broker.console.ops.shares_page import router as shares
from broker.console.ops.what_if_page import router as what_if
from broker.console.ops.why_page import router as why

ROUTERS: tuple[APIRouter, ...] = (home, pools, agents, queues, why, what_if, shares, environments, retention, audit)

"""The routes of all pages for ops: a new page's router is listed here."""

from fastapi import APIRouter

from broker.console.ops.pools_page import router as pools

ROUTERS: tuple[APIRouter, ...] = (pools,)

"""The routes of all pages for finance: a new page's router is listed here."""

from fastapi import APIRouter

from broker.console.finance.month_page import router as month

ROUTERS: tuple[APIRouter, ...] = (month,)

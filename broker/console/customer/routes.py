"""The routes of all pages for customers: a new page's router is listed here."""

from fastapi import APIRouter

ROUTERS: tuple[APIRouter, ...] = ()

"""The routes of all pages for customers: a new page's router is listed here."""

from fastapi import APIRouter

from broker.console.customer import (
    account_page,
    adapters_page,
    billing_page,
    captions_page,
    check_page,
    datasets_page,
    environments_page,
    invoice_page,
    job_page,
    jobs_page,
    keys_page,
    new_job_page,
    people_page,
    promotion_page,
    secrets_page,
    templates_page,
    webhooks_page,
)

# What takes any job stands behind those that name something else in its place.
ROUTERS: tuple[APIRouter, ...] = (
    new_job_page.router,
    jobs_page.router,
    job_page.router,
    datasets_page.router,
    captions_page.router,
    check_page.router,
    templates_page.router,
    adapters_page.router,
    promotion_page.router,
    environments_page.router,
    invoice_page.router,
    billing_page.router,
    keys_page.router,
    webhooks_page.router,
    secrets_page.router,
    people_page.router,
    account_page.router,
)

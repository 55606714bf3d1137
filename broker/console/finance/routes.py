"""The routes of all pages for finance: a new page's router is listed here."""

from fastapi import APIRouter

from broker.console.finance.closing_page import router as closing
from broker.console.finance.commitments_page import router as commitments
from broker.console.finance.customer_page import router as customers
from broker.console.finance.fapiao_page import router as fapiao
from broker.console.finance.files_page import router as files
from broker.console.finance.grant_page import router as grants
from broker.console.finance.invoices_page import router as invoices
from broker.console.finance.month_page import router as month
from broker.console.finance.payments_page import router as payments
from broker.console.finance.plan_advice_page import router as plan_advice
from broker.console.finance.receivables_page import router as receivables
from broker.console.finance.reconciliation_page import router as reconciliation
from broker.console.finance.refunds_page import router as refunds
from broker.console.finance.today_page import router as today
from broker.console.finance.top_ups_page import router as top_ups
from broker.console.finance.verification_page import router as verifications

ROUTERS: tuple[APIRouter, ...] = (
    today,
    month,
    invoices,
    closing,
    receivables,
    payments,
    refunds,
    fapiao,
    commitments,
    plan_advice,
    reconciliation,
    customers,
    grants,
    top_ups,
    verifications,
    files,
)

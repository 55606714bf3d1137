"""Stripe: collects invoices of customers that pay by no bank transfer. Our books are the truth; off by default.

Owns `stripe_customers`, `stripe_invoices`, `stripe_steps`, `stripe_payments`, `stripe_differences`. Finance says whose
invoices it collects; the daemon's relay does the rest. `model` plans, purely, the next step from what our books want
and what Stripe has; `planning` writes it as a row with all that is sent; `relay` sends it after the commit, `calls`
says how, and `fetching` notes what Stripe then has. Invariants: a step is written before it is sent, and sent under
`{our id}:{step}:{content hash}`; our own amounts in fen are sent, and a draft is finalized only where it says the same
to the fen; what is paid there is booked once, by Stripe's id; an event only makes us look, it is never believed. Order
of locks: step, invoice at Stripe, then as in `payments`. It never asks Stripe within a transaction, and prices nothing.
"""

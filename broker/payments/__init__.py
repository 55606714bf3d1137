"""Payments: money that came in, what it pays, and by which way money goes back; by hand, or by a provider.

Owns `payments`, `payment_allocations`, `refunds`. Finance imports statements of the bank and claims what matched
nothing by REST; a provider in a room of its own (`stripe/`) calls the same `record_receipts`. Invariants: a receipt is
kept once, by the serial number that its bank or provider gave it; it is booked at once and whole, as an unmatched
receipt of the house, and what is allocated of it leaves that account for an invoice or for a customer's credit;
allocated and returned together are never more than came; an allocation is undone, never changed. Order of locks: the
turn of payments, contracts in their order, invoice. It prices nothing and asks nobody outside within a transaction.
"""

"""Invoices: in advance for a grant, or for a month's captured usage; drafted, finalized with a number, paid.

Owns `invoices`, `invoice_lines`, `invoice_numbers`, `credit_notes`, `credit_note_lines`, `adjustments`,
`disputes`. Finance, the month's close and `payments` call it. A month's draft is composed of parts, a file each in
`lines/`; `evidence` proves a final invoice, `documents/` writes it for finance. Invariants: each rate segment is
rounded once, half-even to the fen, its lines share it, and lines add up to the total; a finalized invoice never changes
but in what was credited, written off and paid of it; a void one for usage is credited whole (`voiding`); credit notes
and refunds together give back no more than was paid;
numbers have no gaps; a final invoice is booked, and its month is closed in the ledger: usage reported later goes to the
next open one. Order of locks: contract, invoice. It meters and prices nothing anew: what was captured is what is
billed.
"""

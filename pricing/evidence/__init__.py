"""Evidence of an invoice: a file that proves its total offline, from metered intervals and the rate card alone.

Written by the broker (`broker/billing/evidence.py`), read by whoever doubts an invoice (`broker invoices verify`).
`sealing` says how what is told is chained, so that a changed digit is named; `document` what the file tells; `lines`,
`charges` and `verify` work the invoice out anew. Pure: no clock, no database, no file.
"""

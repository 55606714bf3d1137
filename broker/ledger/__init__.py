"""The double-entry ledger: GPU-seconds, tokens and micro-yuan of each contract, held for jobs and captured as used.

Owns `ledger_accounts`, `ledger_transfers`, `ledger_entries`, `holds`, `hold_legs`, `captures`, `rate_segments`,
`rate_lines`, `rate_corrections`, `closed_months`. Admission places holds, metering captures, resuming adjusts, the end
of a run bears what it lost, the end of a job settles, billing and reports read what was captured. Invariants: every
transfer sums to zero in each unit; entries and captures are never changed or deleted (a trigger refuses it); only a
source or an account of money may go below zero, and what the house owes never above it (the database refuses it); what
customers owe and paid is posted by `books/money_books.py`; no customer is charged beyond a promise, or for what a run
lost by our doing: that is borne; what was charged is taken back by a capture below zero that names the other; `broker
ledger verify` derives every balance and every sum again. Order of locks: job, hold, contract. It knows contracts, and
neither jobs nor invoices.

Its rooms, each importing only those below it: `reading/` beside `correcting/`, `capturing/`, `holding/`, `grants/`
beside `limits/`, `rating/`, `books/`. Other features come in by `service.py`, HTTP by the routes.
"""

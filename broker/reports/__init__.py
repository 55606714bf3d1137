"""Reports for finance and ops: monthly cost, margin, the estimator's accuracy; JSON and CSV.

Owns no table, and is the one package that reads the tables of others: it is the read side. Finance, ops and, for its
own rows, a customer ask by REST. Invariants: amounts are those of the invoices, by the same rounding; totals are sums
of the rows shown; no cell that a customer wrote is a formula. It writes nothing.
"""

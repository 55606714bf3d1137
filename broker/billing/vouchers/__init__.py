"""Vouchers (凭证) of a closed month, as finance's own bookkeeping takes them in, by a chart of accounts that it maps.

Owns `charts_of_accounts`: versions, of which the newest counts; none is changed. Finance calls it. `chart` says what a
map is and has the usual one, `service` keeps versions and makes vouchers, `files` writes them. Invariants: debits of a
voucher equal its credits; an account that is used and has no code is named, and nothing is exported then; what is in
the books without a value in money is left out, and counted. It books nothing.
"""

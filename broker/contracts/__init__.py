"""What customers have signed: contracts with their terms, the grants under them, published rate cards.

Owns `contracts`, `contract_numbers`, `contract_amendments`, `amendment_withdrawals`, `contract_events`, `grants`,
`rate_cards`. Called by everything that prices, holds or bills. Invariants: what work costs under a contract is answered
by `ContractTerms.prices_at` alone, by the rate card that it pins or the newest of the day; terms are of a moment
(`ContractTerms.at`), and amendments change them from one on, never where something was rated since; a published card
never changes (a trigger refuses it) and begins on a day that has begun nowhere yet (`cards/`); `reading/prices.py`
answers what every plan costs a customer. The lock of a contract (`lock_contract`) is where everything that moves its
balances takes its turn; it is taken after a job's and a hold's. What is left of a grant is in the ledger: this package
moves no units and writes no invoice.

Its rooms, each importing only those below it: `amendment/` beside `reading/`, `service.py`, `keeping/`, `cards/`,
`terms/`. Other features ask `service.py`, and the values of `terms/`.
"""

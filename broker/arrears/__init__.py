"""Arrears (欠费): how far a contract is behind with paying, what that keeps from it, and how all of it comes back.

Owns `arrears`, `arrears_changes`, `arrears_extensions`, `arrears_deletions`. The daemon sweeps; a payment that comes by
REST is decided anew at once (`service.refresh`); finance lists, and gives time. Invariants: the state is a function of
facts alone, which are overdue invoices, money below zero, the contract's lengths, extensions and what was announced
(`model.py`, pure); what each state allows is one table (`broker.contracts.terms.arrears`); the state stands on the
contract's row too, so that its version changes with it and admission is never stale; nothing is deleted before the day
that was announced; a payment is never refused; what was deleted is recorded with its deletion. Order of locks: job,
hold, contract, as everywhere; a state is decided under the contract's lock, and each job, data set and adapter has a
transaction of its own after. It books nothing, and sends nothing: `notices/` tells customers of the events.
"""

"""Closing a month: one act with a list, by which all drafts become final and the house's books of it are locked.

Owns `closings`. Finance starts it, the daemon runs it in steps: a step is one transaction over a batch of contracts,
with the closing's row locked, so that it can be killed anywhere and goes on where it was. `checklist` says what stands
in the way; what rooms above know of it comes in by a port (`Check`). `batches` makes drafts final, `runs` starts and
steps, `automatic` finalizes without anybody. Invariants: numbers have no gaps, whoever closes how often; once the last
contract's month is closed the period is locked (`ledger/books/periods.py`), and nothing opens it again. Order of locks:
closing, contracts by their ids, numbers, the turn of the period. It composes no line by itself.
"""

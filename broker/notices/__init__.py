"""Notices: customers are told by mail or in their chat what concerns their money, each contact once of each thing.

Owns `notice_contacts`, `notices`, `noticed`. The daemon composes from what features have recorded and committed (events
of contracts, final invoices), and sends through one port (`port.py`): the log by default, else apprise. Invariants: a
notice is stored by event and contact before it is sent, so that each contact gets one of each; nobody outside is asked
within a transaction; what fails is tried again, ever later, and then stands as failed where ops sees it; the URL of a
chat is a secret: no answer, no log line and no error shows it, and the database has it sealed (`sealing`). Locks: the
rows of due notices, skipped where another process has them. It decides nothing: what happened is decided and told
by the features below, but that finance reminds of an overdue invoice by hand (`reminders.py`), at most once a day.
"""

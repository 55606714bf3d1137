"""Webhooks: customers' programs are told of what happens to their jobs, adapters and money, by Standard Webhooks.

Owns `webhook_endpoints`, `webhook_outbox`, `webhook_events`, `webhook_deliveries`, `webhook_attempts`. What happened is
put into `webhook_outbox` by triggers on the records of features, in the very transaction that records it, and only
where an endpoint of the customer listens; the daemon makes events of it (`composing.py`) and sends them
(`delivering.py`). Called by the daemon, `app`, `notices` and `reports`. Invariants: an event has one id for all its
attempts and endpoints; nobody outside is asked within a transaction; only addresses that were checked are connected to
(`broker/addresses.py`); secrets are sealed (`broker/sealing.py`) and shown once; nobody's backlog keeps others waiting
(`turns.py`). Locks: an endpoint, then its deliveries; what is due is claimed without its endpoint, and what another
process has is skipped. It decides nothing, and changes nothing of what it tells.
"""

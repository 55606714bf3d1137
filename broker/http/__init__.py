"""The edge: what every route has in common, from the bearer token to the problem that answers a wrong request.

Owns the tables `idempotency_keys`, `sent_orders` and `request_counts`. A route handler runs in one transaction, which
is committed before the answer is sent (`edge`); a POST that is sent again under its key gets its first answer again
(`idempotency`); what a route does not take is refused (`parameters`); its route is found in a table, and a plain one is
handled by a plan, beside the layers of the framework (`route_table`, `direct`, `short_way`); what staff decided is
handed to the audit (`decision`). A token seen before is supposed to be whose it was until the first message of the
request's transaction has confirmed it (`supposed`); reads of one moment share a message (`shared_reads`). A key is kept
to its scopes (`scopes`) and to its requests a minute (`rate_limits`). Features take their routers, shapes and pages
from here; `app.py` hands in how a token is turned into an actor. It knows no feature: a domain error reaches it as an
exception of `broker.errors`, and `problems` gives each its status.
"""

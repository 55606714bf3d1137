"""What there is to run on, and the lines before it: pools of devices and queues.

Owns `pools`, `queues`. An engine's agent registers a pool, ops opens, closes and prioritizes, quotes ask which types of
device there are, admission which queue a job enters, the scheduling cycle reads both as they are. Invariants: what ops
has set stays when an engine registers again; a dedicated queue belongs to one contract. It decides no order and starts
nothing: that is `scheduling`.
"""

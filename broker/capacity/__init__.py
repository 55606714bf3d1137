"""What there is to run on, and the lines before it: agents with their pools of devices, and queues.

Owns `agents`, `pools`, `pool_cost_rates`, `queues`, `contract_quotas`, `start_forecasts`, and `announcements` of what
customers should know of them. An agent registers with its pool and is seen, ops opens, closes and prioritizes; quotes
ask which types of device there are, admission which queue a job enters, the scheduling cycle which pools take jobs
now. Invariants: a pool has one live agent; what ops has set stays when an agent registers again; a dedicated queue
belongs to one contract. A pool's lock comes last, after those of job, hold and contract; a cycle takes it first and
waits for no other; what is forecast of starts is the last cycle's word. It decides no order and starts nothing: that
is `scheduling`.
"""

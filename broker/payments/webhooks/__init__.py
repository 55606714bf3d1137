"""Events that payment providers send us: proven to be theirs, kept at once, handled later.

Owns `received_events`. The route keeps an event and answers; the provider's relay takes one after the other, fetches
the object that it is about, and does what follows from how that is now. Invariants: an event is kept once, by the
provider's id; nothing of its content but type and id of its object is believed or kept; one that fails is tried again,
ever more rarely. It books nothing itself, and knows no provider's objects.
"""

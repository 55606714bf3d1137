"""Approvals: what gives money away above the amounts that one person may, proposed by one and approved by another.

Owns `approvals`. Finance proposes an act by REST with the body that its own route takes; another person of staff
approves or rejects it. `acts.py` has the acts, each of a service of its own room; `broker/second_person.py`, below all
of them, refuses them where nobody approved. Invariants: what is proposed was tried out, and taken back with its
savepoint: nothing is booked before the approval, and nothing can be proposed that could not be done; the proposer never
approves; what is carried out comes to the amount that was proposed; a proposal is decided once. Order of locks: the
proposal, then those of its act.
"""

"""One plan: who starts where, what is reserved, whom a limit keeps, and who is stopped to make room.

`round.py` goes through the line; `limits.py` and `lending.py` say what a job may take, `placing.py` chooses GPUs and
`reservations.py` keeps them for who must wait; `reclaim.py` makes room by stopping others, of whom `preemption.py`
chooses the cheapest. A round leaves the books as it found them.
"""

"""One plan: who starts where, what is reserved, whom a limit keeps, and who is stopped to make room.

`round.py` goes through the line; `placing.py` chooses GPUs; `reclaim.py` makes room by stopping others, of whom
`preemption.py` chooses the cheapest. A round leaves the books as it found them.
"""

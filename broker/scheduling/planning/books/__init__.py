"""What a plan is made on: who waits, by class; what is free, by node; and what contracts and queues hold.

Books are changed as things happen, and by a plan for its own time. `homes.py` finds the classes of a job,
`class_jobs.py` the first of a class and `ranking.py` the first of many; `runs.py` books what runs on `nodes.py` and
`shares.py`.
"""

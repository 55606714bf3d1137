"""What a plan is made on: who waits, by class; what is free, by node; and what contracts and queues hold.

Books are changed as things happen, and by a plan for its own time. `ranking.py` finds the first without sorting all.
"""

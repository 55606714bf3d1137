"""The rules of jobs: which status follows which, where a job pauses, what is left of it. Pure.

`model.py` has the states of jobs and runs, `limits.py` where a job pauses and its charge ends, `remaining.py` what is
left from a checkpoint on, `lost_work_words.py` the sentence about lost work.
"""

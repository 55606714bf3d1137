"""Who is left waiting: in which place, why, and until when. Worked out on demand: it is no part of a plan.

`line.py` orders those who wait, `forecast.py` expects their starts, `reasons.py` decides why and `wording.py` says it
in two languages; `newcomers.py` expects the start of a job that came now, `stranded.py` tells whom limits never start.
"""

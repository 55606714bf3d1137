"""The record of what staff decided: who did what to which object, when, by which request.

Owns `audit_entries`. The edge hands it every write of a staff key that was answered, in that write's own transaction
(`app.py` hands the function in); commands on the machine hand in theirs. Invariants: an entry is never changed or
deleted (a trigger refuses it), and there is none without the write that it tells of. No secret is in it: keys stand in
answers, which are not kept here. What a service noted that it changed (`Work.note_change`) is in it, before and after.
It decides nothing and knows no feature.
"""

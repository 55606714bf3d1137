"""The parts of a month's draft: each a file with one function that drafts its lines, put in their order by `compose`.

A part takes the work, the contract's terms and the month, and returns its lines: none, where it has nothing to say. It
reads and writes nothing, since a draft is written anew whenever it is asked for; what has to happen once, when a month
closes, happens where the invoice is made final. `still_asked.py` decides for the true-up. The caller holds the
contract's lock.
"""

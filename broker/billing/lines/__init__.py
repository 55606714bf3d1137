"""The parts of a month's draft: each a file with one function that drafts its lines, put in their order by `compose`.

A part takes the work and a batch, which is one month of several contracts, and returns their lines by contract: what it
reads, it reads for all of them in one go, and each contract's lines are composed purely; of one contract there is a
batch of one. It writes nothing, since a draft is written anew whenever it is asked for; what has to happen once, when a
month closes, happens where the invoice is made final. `still_asked.py` decides for the true-up. The caller holds the
contracts' locks.
"""

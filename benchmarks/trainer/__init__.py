"""The trainer beside the scripts that people use now: `make bench-trainer`, or `python -m benchmarks.trainer [NAME …]`.

Each comparison starts two processes, ours and the peer, lets each warm up for one epoch, and then gives them one epoch
in turn, so that whatever else the machine does meets both. One process sleeps while the other trains. Numbers are
medians of the rounds; CPU time stands beside wall time, since a busy machine slows the wall clock and not the work.
"""

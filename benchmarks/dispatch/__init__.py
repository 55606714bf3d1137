"""Handing out queued jobs: ours with money on the books, beside queues on the same PostgreSQL that keep none."""

"""What nobody needs any more is swept: old checkpoints, files without a row, done messages, folders of ended runs.

Owns `swept` (what was removed, by kind, for /metrics) and the rules; the daemon calls it. Invariants: a row is marked
and that is committed before its file goes, so nothing that is referenced is ever deleted, and what a crash leaves is
found as a file without a row; a file that no row names is left alone until it is older than any upload takes; every
step is bounded and may be repeated. Locks: none but those of the statements. Usage, captures, invoices and the rows of
checkpoints stay: they are evidence.
"""

"""Data sets: uploads unpacked, checked, kept as one tar, and read again for quotes and runs.

Owns `datasets`, `uploads`, `token_counts`, `token_count_parts`: how far the rows are counted, by whom, and what was
counted, as bytes that `quotes` makes and reads. Customers upload, by one form or piece by piece (tus); quotes read rows
and pictures, workers fetch the tar. Uploads go through this machine's `scratch`, never through memory as a whole.
Invariants: a data set never changes after its upload and is known by the SHA-256 of its bytes; the same bytes of a
customer are stored once, and go with the last data set of them, the pictures of an upload with its last version; a
customer stores no more than its limit; what is kept has at least one usable row; the rows are read by the code that the
trainer reads them with (`pricing.datasets`), one by one, within limits; whatever is not read has a finding. No path of
the server comes from a customer, and nothing of an archive is written outside the storage.
"""

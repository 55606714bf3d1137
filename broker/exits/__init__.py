"""A customer's exit: all that it has made goes out in one archive, and is deleted, each with proof.

Owns `customer_deletions`. The proof is a manifest of hashes, signed by a key that is derived from the installation's
secret (Ed25519); whoever has the public key checks it without us. Data sets and adapters go with their files,
checkpoints are deleted only; jobs, invoices and the books stay, as the law wants, and are in the archive as documents.
Invariants: a record of a deletion is never changed; a manifest says that a file is gone only where it was looked for.
Locks: the customer, then as the features lock that delete. It decides no deletion by itself: arrears does that.
"""

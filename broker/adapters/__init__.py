"""The registry of what training has made: one adapter a job, named and versioned for its customer.

Owns `adapters`. Workers upload, customers list and download. Invariants: only safetensors is kept; a version is given
once for each name of a customer; an adapter is shown once its job has succeeded. Locks: the name of the adapter, after
the job's. It reads no weights.
"""

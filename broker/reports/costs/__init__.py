"""The monthly cost report: what billing months cost, as their invoices say it, by whatever finance groups it.

Owns no table. `routes` of reports asks `report.py`. `billed_lines.py` reads months that are closed, off their final
invoices; `open_lines.py` those under way, as they are now, by the invoices' own rounding; `gpu_types.py` shares either
among the types of device that usage ran on; `contract_parts.py` adds what an open month owes beside usage,
`purchases.py` what was sold ahead and credited, `lost_work.py` what the house bore. `grouping.py` is pure. Invariants:
however rows are grouped, each sum is the same; what is due adds up to the invoices, to the fen; a closed month never
changes; sums of usage are made in SQL, in as many statements for ten thousand contracts as for one.
"""

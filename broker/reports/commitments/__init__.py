"""The commitments report: how far contracts are with what they committed to, when that runs out, which grants end soon.

Owns no table. `burn_down.py` is pure: weekly paces, their quantiles, the days on which what is left is used up.
`report.py` reads, `schemas.py` shows. Invariants: attainment and true-up are those of `GET /contracts/{id}/commitment`;
coverage and usage rate those of `/coverage`; statements do not grow with the contracts.
"""

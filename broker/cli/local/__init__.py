"""Commands that open an installation on its own machine: serve, migrate, keys where none is left, ledger, models.

`options` reads the settings, `database` opens the database for one look or one transaction.
"""

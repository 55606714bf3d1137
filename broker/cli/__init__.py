"""The `broker` command: what customers do with jobs, data and adapters, and what operators do with the service.

`main` has the table of its parts, each imported when it is chosen. `remote/` speaks REST by `broker.client` and imports
nothing of the service: what customers and staff do from anywhere. `local/` opens an installation on its own machine.
`texts/` is what they show. Every error that a user or an operator can mend is one line and an exit code (`failures`),
never a traceback.
"""

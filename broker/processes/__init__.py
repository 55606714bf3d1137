"""The processes of the service: `broker serve` with its further API processes, `broker worker`, and how they start.

`boot` brings up database, migrations, rate cards and the first administrator's key; `installation` refuses a process
that has another secret, storage or address than the others; `serve` holds it together; `child_supervisor` keeps
`child_main` up for as long as the parent lives. Invariants: the embedded database is stopped last; a child ends with
its parent, however that ends; the port is taken before anything is started. No rule of the domain is here.
"""

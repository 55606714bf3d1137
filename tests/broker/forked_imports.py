"""What every `broker serve` and `broker worker` imports, for the process that theirs are forked from."""

from broker.cli.deferred import collecting_nothing

with collecting_nothing():
    import broker.cli.local.serve
    import broker.cli.main  # noqa: F401 (that they are there is all)

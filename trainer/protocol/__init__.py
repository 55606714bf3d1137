"""The worker's side of docs/worker-protocol.md: how `trainer run` meets the broker, over HTTP and nothing else.

Owns the order of a run (`worker`, `assigned_training`), the requests (`client`), what is told on the way (`heartbeat`,
`observations`, `meter`, `usage_spool`, `checkpoint_uploads`) and when to try again (`retry`). Called by
`trainer.commands.cli` alone.
Invariants: usage is numbered without gaps, is on disk before it is sent, and never changes once it has its number; a
broker that is away does not stop the training; a run that is fenced off ends at once and says nothing more.
Never: import the broker, rate usage, wait for the broker on the training's thread, load torch before the first beat.
"""

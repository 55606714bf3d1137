"""Several processes of one machine that train one adapter together, one for each GPU.

Owns how they are started (`launch` for `trainer train --num-processes`, `peers` for a run of the broker), how they meet
and what they exchange (`processes`). Called by `trainer.commands.cli`, `trainer.protocol` and the training loop, which
is handed a `Processes` and SINGLE_PROCESS where there is one.
Invariants: the plan of steps, the learning rate and the counts of tokens are those of one process; only the first one
writes and reports; a signal reaches each process once; where one fails, the others are ended; exit codes come through.
Never: let another process but the first know the run's token, or speak with the broker.
"""

"""The engine `slurm`: each run is a batch job of a Slurm cluster, named by its run id and never requeued by Slurm.

`engine` keeps the promises of `execution.engine`; `commands` calls sbatch, squeue, scancel, sinfo and sacct; `answers`
reads what they print, purely. Invariants: the agent's machine and all nodes see `runs_dir` at the same path; the run
token stands in a file of mode 0600 there, never in a script that Slurm keeps; a controller that does not answer is
EngineUnreachable, never a run that is gone. It knows nothing of the database.
"""

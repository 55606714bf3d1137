"""The engine `ray`: each run is a job of a Ray cluster, submitted by REST under its run id.

`engine` keeps the promises of `execution.engine`; `jobs_api` asks the cluster; `answers` reads what it says, purely.
Invariants: all nodes and the agent see `runs_dir` at the same path; the run token stands in a file of mode 0600 there,
never in what Ray shows; a cluster that does not answer is EngineUnreachable, never a run that is gone. The package
`ray` is not needed here, and never imported.
"""

"""What each `trainer` command does, and the command line itself (`cli`).

A command reads its options, calls one room below (training, checking, labelling, formats, serving, profiles), and says
what happened; what is worth testing without a terminal stands below. An expected error is one message with its cure and
an exit code of `errors.ExitCode`, never a traceback.

`cli` imports no torch: what needs it is imported inside the command, so that `--help` and a wrong YAML file answer at
once. `make_tiny` writes small random models of the true architectures, for trying out and for the tests.
"""

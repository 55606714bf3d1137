"""The estimator against published figures and against real runs of this machine."""

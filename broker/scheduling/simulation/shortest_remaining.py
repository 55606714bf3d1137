"""The discipline `shortest-remaining-service`: who needs the fewest GPU-seconds until the end goes first. Pure.

It gives the shortest mean completion time where run times are known (SRSF in Gu et al.: Tiresias, NSDI 2019). Alone it
would starve large jobs: whoever uses it bounds how long, or how many times its run time, a job waits.
"""


def compute_remaining_service(left_seconds: float, gpus: int) -> float:
    """Compute the GPU-seconds that a job is expected to need until it ends."""
    return left_seconds * gpus

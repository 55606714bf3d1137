"""Which rows each step trains on: the plan that the quote was counted by."""

from pricing.estimate.step_plan import StepPlan, hold_out_copies, hold_out_rows, plan_steps, shuffle_rows

__all__ = ["StepPlan", "hold_out_copies", "hold_out_rows", "plan_steps", "shuffle_rows"]

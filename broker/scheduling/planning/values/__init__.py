"""What the planner is told, and what it answers: values without behaviour. They import nothing of the planner."""

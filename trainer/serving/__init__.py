"""`trainer serve`: one base model in memory, and the adapter that each request names."""

"""A run on Ray: the plan, the work, its failures, and what is told of them."""

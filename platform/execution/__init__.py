"""A run on Ray: the plan, the work, failures and progress; samples made again or elsewhere."""

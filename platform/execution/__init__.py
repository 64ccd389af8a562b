"""A run on Ray: the plan, the work, its failures and its progress; samples made again or elsewhere."""

"""What a run is asked: studies, benchmarks and metrics by name."""

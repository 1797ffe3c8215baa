"""How fast enfila is: `python -m benchmarks`."""

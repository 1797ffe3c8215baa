"""New jobs: the answer to an addition, and what a new job waits for."""

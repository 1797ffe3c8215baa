"""One run of a job, from its announcement to its outcome."""

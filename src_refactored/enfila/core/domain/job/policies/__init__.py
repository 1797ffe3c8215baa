"""What people decide for a job: waits between attempts, one job for a key, how long it is kept."""

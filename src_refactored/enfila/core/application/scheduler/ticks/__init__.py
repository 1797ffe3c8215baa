"""Due schedules: which jobs they make, and what their runs come to."""

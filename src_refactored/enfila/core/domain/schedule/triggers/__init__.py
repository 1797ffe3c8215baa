"""When a schedule ticks: cron expressions, intervals, times of day, once."""

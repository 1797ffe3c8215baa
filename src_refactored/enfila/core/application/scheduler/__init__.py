"""Making jobs at times, and the use cases on schedules."""

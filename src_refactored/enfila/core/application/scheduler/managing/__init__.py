"""Creating, editing, backfilling and synchronising schedules."""

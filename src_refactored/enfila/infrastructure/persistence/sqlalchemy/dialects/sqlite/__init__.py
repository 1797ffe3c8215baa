"""SQLite: one file, one writer; rows are compared and written one by one under its lock."""

"""PostgreSQL: a whole set of jobs in one statement, one round trip."""

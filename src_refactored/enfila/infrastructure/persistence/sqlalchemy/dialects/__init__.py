"""What differs from database to database, behind one interface."""

"""What connections to PostgreSQL are told, and what they answer."""

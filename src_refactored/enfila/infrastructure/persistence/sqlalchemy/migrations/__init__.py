"""The history of the tables. A migration is never edited after its release."""

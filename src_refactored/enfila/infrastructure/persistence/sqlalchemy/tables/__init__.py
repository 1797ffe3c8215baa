"""The tables: each row is declared once, in the file of its concept."""

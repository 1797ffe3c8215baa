"""Statements for databases that change rows one by one: rows are locked, compared, then written.

What to write is computed with the domain's own methods, since the rows are at hand.
"""

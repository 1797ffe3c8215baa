"""Telling everyone concerned what was written."""

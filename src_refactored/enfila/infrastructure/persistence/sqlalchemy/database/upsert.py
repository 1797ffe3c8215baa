"""Inserting what may be there already."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

UpsertingInsert = Callable[[sa.Table], Any]
"""The dialect's own insert, which knows what to do in a conflict."""

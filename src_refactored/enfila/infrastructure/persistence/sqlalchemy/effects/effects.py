"""All effects of an installation, by what they are effects of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from enfila.core.domain.job.effect import Effect
from enfila.core.domain.job.transition import Transition
from enfila.infrastructure.persistence.sqlalchemy.database.database_clock import DatabaseClock
from enfila.infrastructure.persistence.sqlalchemy.effects.attempts import Attempts
from enfila.infrastructure.persistence.sqlalchemy.effects.counters import Counters
from enfila.infrastructure.persistence.sqlalchemy.effects.dependencies import Dependencies
from enfila.infrastructure.persistence.sqlalchemy.effects.effect import (
    ChangedRow,
    ChangedSet,
    SqlEffect,
    SqlMoveEffect,
)
from enfila.infrastructure.persistence.sqlalchemy.tables.tables import Tables

EffectKinds = frozenset[type[Effect]]


class Effects:
    """The SQL for what moves of jobs bring about: attempts, counters, dependencies.

    Attributes:
        counters: counts the jobs of each state.
        attempts: the list of ended runs.
        dependencies: who waits for whom.
    """

    def __init__(self, tables: Tables) -> None:
        self.counters = Counters(tables)
        self.attempts = Attempts(tables)
        self.dependencies = Dependencies(tables)
        self._of_changes: tuple[SqlEffect, ...] = (self.counters,)
        self._of_moves: dict[type[Effect], SqlMoveEffect] = {
            each.kind: each for each in (self.attempts,)
        }

    # ── a set in one statement ───────────────────────────────────────────────────────────────

    def of_set(self, changed: ChangedSet) -> list[sa.CTE]:
        """The parts of a statement that write what a changed set brings about."""
        parts = (effect.of_set(changed) for effect in self._of_changes)
        return [part for part in parts if part is not None]

    def columns(self, kinds: Iterable[type[Effect]]) -> dict[str, Any]:
        """The columns that records of moves have for effects of these kinds."""
        return {name: kind for each in self._in_order(kinds) for name, kind in each.columns.items()}

    def values(self, effects: Iterable[Effect]) -> dict[str, Any]:
        """The values of those columns, as JSON has them."""
        return {
            name: value
            for effect in effects
            for name, value in self._of_moves[type(effect)].values(effect).items()
        }

    def of_moves(
        self, kinds: Iterable[type[Effect]], moved: sa.CTE, clock: DatabaseClock
    ) -> list[sa.CTE]:
        """The parts of a statement that store the effects of these kinds."""
        return [each.of_moves(moved, clock) for each in self._in_order(kinds)]

    # ── row by row ───────────────────────────────────────────────────────────────────────────

    def of_rows(
        self, connection: sa.Connection, changed: Sequence[ChangedRow], now: datetime
    ) -> None:
        """Writes what changed rows bring about."""
        for effect in self._of_changes:
            effect.of_rows(connection, changed, now)

    def store(self, connection: sa.Connection, moves: Sequence[Transition], now: datetime) -> None:
        """Stores the effects that moves carry."""
        for kind in kinds_of(moves):
            carried = [
                (move, effect) for move in moves for effect in move.effects if type(effect) is kind
            ]
            self._of_moves[kind].store(connection, carried, now)

    def _in_order(self, kinds: Iterable[type[Effect]]) -> list[SqlMoveEffect]:
        wanted = set(kinds)
        return [each for kind, each in self._of_moves.items() if kind in wanted]


def kinds_of(moves: Iterable[Transition]) -> EffectKinds:
    """The kinds of effects that some transitions have."""
    return frozenset(type(effect) for move in moves for effect in move.effects)

"""What a move of a job sets in motion besides the job's own row."""

from __future__ import annotations


class Effect:
    """Base of value objects that a `Transition` carries: each kind is one consequence of a move.

    The domain decides which effects a move has. A repository writes them in the transaction that
    applies the move, all or none: each kind has one file in each family of adapters. A move
    without effects costs nothing.

    Two consequences need no value object, because every repository can see them from the move
    itself: the counters of a queue (source and target), and the jobs that depend on one that ended
    (`dependency.py`).
    """

    __slots__ = ()

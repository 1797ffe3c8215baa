"""The command line of programs that torment processes at random."""

import argparse
import random
import shutil
import tempfile
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from tests.processes.place import Place


class Verdict(Protocol):
    """What is said of one run; empty `violations` mean that all was well."""

    @property
    def violations(self) -> Sequence[str]: ...


Torment = Callable[[int, float, Place, Path], Verdict]
"""One run: with a seed, for so many seconds, in an empty place, with a folder for its files."""
Places = Callable[[str, Path], AbstractContextManager[Sequence[Place]]]


def command(
    prog: str, about: str | None, *, torment: Torment, places: Places, seconds: float
) -> int:
    """Runs it as often as the command line says; the exit code."""
    parser = argparse.ArgumentParser(prog=f"python -m {prog}", description=about)
    parser.add_argument("--seconds", type=float, default=seconds, help=f"of a run ({seconds:g})")
    parser.add_argument("--runs", type=int, default=10, help="how many (10)")
    parser.add_argument("--seed", type=int, help="of the first run; the next have the next numbers")
    parser.add_argument("--url", choices=["sqlite", "postgres", "both"], default="both")
    asked = parser.parse_args()
    first = random.SystemRandom().randrange(10**6) if asked.seed is None else asked.seed
    well = 0
    for seed in range(first, first + asked.runs):
        print(f"seed {seed}", flush=True)
        folder = Path(tempfile.mkdtemp(prefix="enfila-chaos-"))
        with places(asked.url, folder) as found:
            verdicts = [_said(torment(seed, asked.seconds, it, folder / it.kind)) for it in found]
        if any(verdict.violations for verdict in verdicts):
            print(f"  the histories are in {folder}", flush=True)
        else:
            shutil.rmtree(folder)
            well += 1
    print(f"{well} of {asked.runs} runs without a violation")
    return 0 if well == asked.runs else 1


def _said(verdict: Verdict) -> Verdict:
    print(verdict, flush=True)
    return verdict

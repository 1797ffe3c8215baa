"""Being told by Linux that a file was written, instead of looking again and again: inotify(7)."""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from typing import Final, Self

_MODIFY: Final = 0x2
_MOVED_TO: Final = 0x80
_CREATE: Final = 0x100
_HEAD: Final = struct.Struct("iIII")
_MOST_READ: Final = 1 << 16


class FileEvents:
    """Says when one of some files in a folder was written, created or put in place.

    Attributes:
        descriptor: readable when something happened.
    """

    def __init__(self, descriptor: int, names: frozenset[bytes]) -> None:
        self.descriptor = descriptor
        self._names = names

    @classmethod
    def of(cls, path: str, *endings: str) -> Self | None:
        """Watches a file, and those whose names go on with `endings`; None where that is not had.

        That is: on other systems, and when the system has given out all it has.
        """
        if sys.platform != "linux":
            return None
        libc = ctypes.CDLL(None, use_errno=True)
        if not hasattr(libc, "inotify_init1"):
            return None
        descriptor: int = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if descriptor < 0:
            return None
        folder, name = os.path.split(os.path.realpath(path))
        # The folder, since files come and go.
        if (
            libc.inotify_add_watch(descriptor, os.fsencode(folder), _MODIFY | _MOVED_TO | _CREATE)
            < 0
        ):
            os.close(descriptor)
            return None
        names = frozenset(os.fsencode(f"{name}{ending}") for ending in ("", *endings))
        return cls(descriptor, names)

    def read(self) -> bool:
        """Takes what has happened; whether it concerns the files."""
        concerns = False
        while True:
            try:
                events = os.read(self.descriptor, _MOST_READ)
            except BlockingIOError:
                return concerns
            place = 0
            while place < len(events):
                watch, _, _, length = _HEAD.unpack_from(events, place)
                place += _HEAD.size
                name = events[place : place + length].rstrip(b"\0")
                place += length
                # Too many to be kept: the system has dropped some (watch -1).
                concerns = concerns or watch < 0 or name in self._names

    def close(self) -> None:
        """Ends the watch."""
        os.close(self.descriptor)

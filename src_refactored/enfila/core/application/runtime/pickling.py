"""What stays in its process, and says so to whoever pickles it."""

from __future__ import annotations

from typing import ClassVar, NoReturn, SupportsIndex

from enfila.core.domain.errors import InvalidRequest
from enfila.core.domain.showing import shown


class NotPickled:
    """Mixin: refuses to be pickled, as a process pool does with what it is given."""

    __slots__ = ()

    _INSTEAD: ClassVar[str] = "make one in the other process"

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        del protocol
        raise InvalidRequest(
            "pickle",
            self,
            self._INSTEAD,
            problem=f"{shown(self)} belongs to this process and its connections",
        )

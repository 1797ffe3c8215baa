"""From settings to a container."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from enfila.infrastructure.ioc.container import Container


def configured(chosen: dict[str, Any]) -> Container:
    """A container with the given settings; without a URL the rest comes from the environment."""
    # Loaded with the first app and not with the package: wiring is a third of its import time.
    from enfila.infrastructure.ioc.container import Container  # noqa: PLC0415

    container = Container()
    if "database_url" not in chosen:
        # pydantic-settings is loaded only by programs that are configured this way.
        from enfila.settings import load_settings  # noqa: PLC0415

        settings = load_settings()
        container.config.from_dict(
            settings.model_dump(exclude={"schema_name"}) | {"schema": settings.schema_name}
        )
    container.config.from_dict(chosen)
    return container

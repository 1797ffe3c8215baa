"""What pydantic's schema of a type says about the way through JSON, and what it is to say."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from pydantic import Secret, SecretBytes, SecretStr, TypeAdapter
from pydantic_core import SchemaSerializer, SchemaValidator, core_schema

Schema = Mapping[str, Any]
"""A pydantic core schema, or a part of one."""

BASE64: Final = core_schema.CoreConfig(ser_json_bytes="base64", val_json_bytes="base64")

_NO_SCHEMAS: Final = frozenset({
    "metadata", "default", "expected", "members", "cls", "config", "function", "default_factory"
})  # fmt: skip
"""Keys under which values of the user's own lie."""
_NAMED: Final = frozenset({"fields", "choices"})
"""Keys under which schemas lie by names of the user's own."""
_CONFIGURED: Final = frozenset({"model", "dataclass", "typed-dict"})
_PLAIN: Final[dict[str, frozenset[str]]] = {
    "str": frozenset({"type", "metadata", "pattern", "max_length", "min_length"}),
    "int": frozenset({"type", "metadata", "multiple_of", "le", "ge", "lt", "gt"}),
    "float": frozenset({"type", "metadata", "multiple_of", "le", "ge", "lt", "gt"}),
    "bool": frozenset({"type", "metadata"}),
    "none": frozenset({"type", "metadata"}),
}
"""Types that JSON has itself, with the keys that change nothing about that."""


def is_exact(schema: Schema) -> bool:
    """Whether a value of this type, once validated, is JSON itself and reads back as it is.

    True only of what has no instances from outside: those of a model are not validated again.
    """
    kind = schema["type"]
    if (harmless := _PLAIN.get(kind)) is not None:
        return schema.keys() <= harmless
    if schema.get("serialization") is not None or schema.get("strict"):
        return False
    match kind:
        case "nullable":
            return is_exact(schema["schema"])
        case "list":
            return "items_schema" in schema and is_exact(schema["items_schema"])
        case "dict":
            return (
                schema.get("keys_schema", {}).get("type") == "str"
                and is_exact(schema["keys_schema"])
                and "values_schema" in schema
                and is_exact(schema["values_schema"])
            )
        case "typed-dict":
            return _is_exact_typed_dict(schema)
        case _:
            return False


def has_bytes(schema: Schema) -> bool:
    """Whether a part of the type is bytes."""
    return any(each["type"] == "bytes" for each in _parts(schema))


def has_secret(schema: Schema) -> bool:
    """Whether a part of the type is one of pydantic's secrets."""
    return any(_is_secret(each) for each in _parts(schema))


def secret_fields(schema: Schema) -> frozenset[str] | None:
    """The keys of a typed dictionary that hold secrets; None for any other type with secrets."""
    if not has_secret(schema):
        return frozenset()
    definitions: list[Schema] = []
    if schema["type"] == "definitions":
        definitions, schema = schema["definitions"], schema["schema"]
    if schema["type"] != "typed-dict":
        return None
    shared = any(map(has_secret, definitions))
    return frozenset(
        name
        for name, field in schema["fields"].items()
        if has_secret(field) or (shared and _refers(field))
    )


class Form:
    """Writes values as JSON and reads them, with bytes as base64 and secrets as they are.

    Args:
        adapter: of the type.
        once: an iterator is written, and a list read: for one that can be looked at twice.
    """

    def __init__(self, adapter: TypeAdapter[Any], *, once: bool = False) -> None:
        schema: Any = adapter.core_schema
        self.schema: Final[Schema] = schema
        has_iterator = once and any(each["type"] == "generator" for each in _parts(schema))
        if has_iterator or has_bytes(schema) or has_secret(schema):
            changed: Any = _travelling(schema, lists=has_iterator)
            serializer = _made(SchemaSerializer, changed)
            validator = _made(SchemaValidator, changed)
        else:
            # Bytes may be met nevertheless, where the type is open.
            serializer, validator = adapter.serializer, adapter.validator
        self.to_json: Final[Callable[..., bytes]] = serializer.to_json
        self.validate_python: Final[Callable[..., Any]] = validator.validate_python
        self.validate_json: Final[Callable[..., Any]] = validator.validate_json


def _made(maker: Any, schema: Any) -> Any:  # noqa: ANN401 - of pydantic's core
    # Without this word, it takes those of the models as they are. It is no part of what pydantic
    # promises: where it is unknown, a model with secrets is refused, as it does not read back.
    try:
        return maker(schema, BASE64, _use_prebuilt=False)
    except TypeError:
        return maker(schema, BASE64)


def _is_exact_typed_dict(schema: Schema) -> bool:
    extra = schema.get("extra_behavior") or schema.get("config", {}).get("extra_fields_behavior")
    return (
        extra in {None, "forbid", "ignore"}
        and not schema.get("computed_fields")
        and schema.get("config", {}).keys() <= {"title", "extra_fields_behavior"} | BASE64.keys()
        and all(
            not field.keys() - {"type", "schema", "required", "metadata"}
            and is_exact(field["schema"])
            for field in schema["fields"].values()
        )
    )


def _is_secret(schema: Schema) -> bool:
    serialization = schema.get("serialization")
    return isinstance(serialization, dict) and serialization.get("function") in _HIDING


def _refers(schema: Schema) -> bool:
    return any(each["type"] == "definition-ref" for each in _parts(schema))


def _parts(schema: Schema) -> Iterator[Schema]:
    """All schemas within a schema, and itself."""
    waiting: list[Any] = [schema]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            if isinstance(each.get("type"), str):
                yield each
            for key, inner in each.items():
                if key in _NAMED and isinstance(inner, dict):
                    waiting.extend(inner.values())
                elif key not in _NO_SCHEMAS:
                    waiting.append(inner)
        elif isinstance(each, list | tuple):
            waiting.extend(each)


def _travelling(schema: Any, *, lists: bool) -> Any:  # noqa: ANN401 - any part of a schema
    """The schema with bytes as base64, and secrets that show themselves."""
    if isinstance(schema, list | tuple):
        return type(schema)(_travelling(each, lists=lists) for each in schema)
    if not isinstance(schema, dict):
        return schema
    changed: dict[str, Any] = {}
    for key, inner in schema.items():
        if key in _NAMED and isinstance(inner, dict):
            changed[key] = {name: _travelling(each, lists=lists) for name, each in inner.items()}
        else:
            changed[key] = inner if key in _NO_SCHEMAS else _travelling(inner, lists=lists)
    kind = changed.get("type")
    if isinstance(kind, str) and kind in _CONFIGURED:
        changed["config"] = {**BASE64, **changed.get("config", {})}
    if lists and kind == "generator":
        changed["type"] = "list"
    if _is_secret(schema):
        changed["serialization"] = core_schema.plain_serializer_function_ser_schema(
            _told, when_used="json-unless-none"
        )
    return changed


def _told(value: Any) -> object:  # noqa: ANN401 - a secret, or what stands in its place
    return (
        value.get_secret_value() if isinstance(value, Secret | SecretStr | SecretBytes) else value
    )


_HIDING: Final = frozenset(
    each["serialization"]["function"]
    for kind in (SecretStr, SecretBytes, Secret[int])
    for each in _parts(TypeAdapter(kind).core_schema)
    if "serialization" in each
)
"""What pydantic writes secrets with: stars."""

"""The JSON Schema of the config, for editors: the tables of `config.shape` in its words."""

import inspect
from collections.abc import Callable, Mapping

from renewer.config import shape
from renewer.model.desired import Config, Secret, SecretSource

Schema = dict[str, object]


def json_schema() -> Schema:
    """The JSON Schema (2020-12) of a config file."""
    definitions: Schema = {}
    start = _schema(shape.document(), definitions)
    dialect = "https://json-schema.org/draft/2020-12/schema"
    return {"$schema": dialect, "title": "renewer", **start, "$defs": definitions}


def _schema(kind: shape.Kind, known: Schema) -> Schema:  # noqa: C901, PLR0911  one a kind
    """The schema of what can stand at a key; what has a name is described in `known`."""
    match kind:
        case shape.Text(form=form):
            return {"type": "string", **(form.schema if form else {})}
        case shape.Flag():
            return {"type": "boolean"}
        case shape.Whole(form=number):
            return {"type": "integer", **(number.schema if number else {})}
        case shape.EnumWord(cls=words):
            return _named(words.__name__, words, known, lambda: {"enum": [one.value for one in words]})
        case shape.Items(item=item, single=single):
            array: Schema = {"type": "array", "items": _schema(item, known)}
            alone = item.kinds if isinstance(item, shape.Either) else [item]
            return {"anyOf": [*(_schema(one, known) for one in alone), array]} if single else array
        case shape.Entries(inner=inner):
            return {"type": "object", "additionalProperties": _schema(inner, known)}
        case shape.Reference():
            return _named("SecretTable", Secret, known, lambda: _object(_secret(), []))
        case shape.Keyed(cls=cls):
            name = "Document" if cls is Config else f"{cls.__name__}Table"
            return _named(name, cls, known, lambda: _table(kind, known))
        case shape.Tagged(field=field, tables=tables):
            parts = {table.tag[1]: _schema(table, known) for table in tables if table.tag}
            mapping = {tag: part["$ref"] for tag, part in parts.items()}
            return {"anyOf": [*parts.values()], "discriminator": {"propertyName": field, "mapping": mapping}}
        case shape.Either(kinds=kinds):
            return {"anyOf": [_schema(one, known) for one in kinds]}


def _named(name: str, cls: type, known: Schema, make: Callable[[], Schema]) -> Schema:
    if name not in known:
        known[name] = {}  # its place: what it refers to follows
        says = (inspect.getdoc(cls) or "").partition("\n\n")[0]
        known[name] = {"title": name, "description": says, **make()}
    return {"$ref": f"#/$defs/{name}"}


def _table(table: shape.Keyed, known: Schema) -> Schema:
    tag: Schema = {table.tag[0]: {"enum": [table.tag[1]]}} if table.tag else {}
    keys = {
        key: {"description": field.key.says, **_schema(field.kind, known)}
        for key, field in table.keys().items()
    }
    return _object({**tag, **keys}, [*tag, *(key for key, _ in table.needed())])


def _secret() -> Schema:
    texts: Mapping[SecretSource, Schema] = {
        SecretSource.COMMAND: {"type": "array", "items": {"type": "string"}}
    }
    return {
        source.value: {"description": source.says, **texts.get(source, {"type": "string"})}
        for source in SecretSource
    }


def _object(properties: Schema, required: list[str]) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }

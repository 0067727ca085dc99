"""What all tables of the config are made of."""

from typing import Annotated, dataclass_transform

from msgspec import UNSET, Meta, Struct, UnsetType

DURATION = {"pattern": r"^[0-9]+(s|m|h|d)$"}
"""Keyword of the JSON Schema for durations."""

SIZE = {"pattern": r"^([0-9]+[KMG]|0)$"}
"""Keyword of the JSON Schema for sizes."""


@dataclass_transform(frozen_default=True, kw_only_default=True)
class Table(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The base of all tables: unknown keys are refused."""


class SecretTable(Table):
    """A reference to a secret; exactly one key."""

    file: Annotated[str, Meta(description="A file that holds it; absolute path.")] | UnsetType = UNSET
    env: Annotated[str, Meta(description="An environment variable's name.")] | UnsetType = UNSET
    credential: Annotated[str, Meta(description="A systemd credential's name.")] | UnsetType = UNSET
    command: (
        Annotated[list[str], Meta(description="A program that prints it, and its arguments.")] | UnsetType
    ) = UNSET

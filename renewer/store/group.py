"""The group that may read what is live."""

from renewer.errors import StateError


def group_number(name: str | None) -> int | None:
    """The number of a group, by name or number. Raises StateError if the system does not know it."""
    if name is None:
        return None
    if name.isdecimal():
        return int(name)
    import grp

    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise StateError(
            f"there is no group '{name}' on this host",
            hint=f"make it (groupadd --system {name}), or change [agent] group",
            kind="group",
        ) from None

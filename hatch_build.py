"""Man pages and completions go with wheel and source: made where these are built, from the program itself."""

import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

MADE = "packaging/made"
"""Where they lie in a source distribution, so that who builds a wheel of it need not make them again."""


class CustomBuildHook(BuildHookInterface):  # type: ignore[type-arg]  # whatever builder
    """Adds them; an editable installation needs none."""

    work: tempfile.TemporaryDirectory[str] | None = None

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002  hatchling's
        """Take away what was made for it."""
        if self.work is not None:
            self.work.cleanup()

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Make them, unless they lie there, and name them to the builder."""
        if version == "editable":
            return
        root = Path(self.root)
        made = root / MADE
        if not made.is_dir():
            self.work = tempfile.TemporaryDirectory(prefix="renewer-made-")
            made = Path(self.work.name)
            sys.path[:0] = [str(root), str(root / "packaging")]
            import manual

            manual.write(made)
        found = {str(path): str(path.relative_to(made)) for path in sorted(made.rglob("*")) if path.is_file()}
        if self.target_name == "wheel":
            build_data["shared_data"].update(found)
        elif made != root / MADE:
            build_data["force_include"].update({path: f"{MADE}/{place}" for path, place in found.items()})

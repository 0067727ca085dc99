"""dns-lexicon in a process of its own: what it does ends at a time limit, and cannot touch ours.

Its providers set no time limits, print and log, and some wait for ever. Run by `lexicon.py` as a file,
without the rest of renewer: one JSON document on stdin (`path` is the sys.path to use), one on stdout.
"""

import argparse
import json
import os
import sys
from types import SimpleNamespace
from typing import Any


def main() -> None:
    """Carry out the job on stdin, and say on stdout how it went."""
    answer = os.fdopen(os.dup(1), "w")
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        os.dup2(nowhere.fileno(), 1)  # what lexicon prints is no answer
        job = json.load(sys.stdin)
        sys.path[:] = job["path"]
        said = _tried(job)
    json.dump(said, answer)
    answer.flush()


def _tried(job: dict[str, Any]) -> dict[str, Any]:
    try:
        from lexicon import client
    except ImportError as error:
        return {"missing": str(error)}
    try:
        made = _client(client, job)
        if wrong := _unknown_options(made, job):
            return wrong
        with made as operations:
            act = operations.create_record if job["act"] == "add" else operations.delete_record
            for name, value in job["records"]:
                if act(rtype="TXT", name=name, content=value) is False:
                    return {"error": "LexiconError", "text": "it did not say why"}
    except Exception as error:  # noqa: BLE001  some ninety providers, each with exceptions of its own
        return _error(error)
    return {}


def _client(client: Any, job: dict[str, Any]) -> Any:
    """A client for exactly this zone; its own guess would ask the network for a list of suffixes."""
    from lexicon.config import ConfigResolver, DictConfigSource

    class Zone:
        """In the place of tldextract: splits the zone so that it comes out whole."""

        def __call__(self, _domain: str) -> SimpleNamespace:
            head, _, tail = job["zone"].partition(".")
            return SimpleNamespace(domain=head, suffix=tail)

    client.tldextract = SimpleNamespace(TLDExtract=lambda **_: Zone())
    config = ConfigResolver().with_dict(  # type: ignore[no-untyped-call]
        {
            "provider_name": job["service"],
            "domain": job["zone"],
            "ttl": job["ttl"],
            job["service"]: job["options"],
        }
    )
    made = client.Client(config)
    made.config.add_config_source(DictConfigSource({"domain": job["zone"]}), 0)
    return made


def _unknown_options(made: Any, job: dict[str, Any]) -> dict[str, Any]:
    """Options that the provider has no argument for on lexicon's own command line."""
    parser = argparse.ArgumentParser(add_help=False)
    made.provider_class.configure_parser(parser)
    # Some ask for an option by the spelling of the command line.
    actions = parser._actions  # noqa: SLF001  argparse has no other way to list them
    known = {one.dest for one in actions}
    known |= {text.lstrip("-") for one in actions for text in one.option_strings}
    unknown = [name for name in job["options"] if name not in known]
    return {"unknown": unknown, "known": sorted(name for name in known if "-" not in name)} if unknown else {}


def _error(error: Exception) -> dict[str, Any]:
    kinds = [one.__name__ for one in type(error).__mro__]
    response = getattr(error, "response", None)
    return {
        "error": type(error).__name__,
        "kinds": kinds,
        "text": str(error),
        "status": getattr(response, "status_code", None),
        "body": str(getattr(response, "text", ""))[:500],
    }


if __name__ == "__main__":
    main()

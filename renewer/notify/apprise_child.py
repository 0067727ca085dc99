"""apprise in a process of its own: what it does ends at a time limit, and what it logs is nobody's.

Run by `apprise.py` as a file, without the rest of renewer: one JSON document on stdin (`path` is the sys.path
to use), one on stdout.
"""

import json
import logging
import os
import sys
from typing import Any


def main() -> None:
    """Carry out the job on stdin, and say on stdout how it went."""
    answer = os.fdopen(os.dup(1), "w")
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        os.dup2(nowhere.fileno(), 1)  # what services print is no answer, and may hold their passwords
        os.dup2(nowhere.fileno(), 2)
        logging.disable(logging.CRITICAL)
        job = json.load(sys.stdin)
        sys.path[:] = job["path"]
        said = _told(job)
    json.dump(said, answer)
    answer.flush()


def _told(job: dict[str, Any]) -> dict[str, Any]:
    try:
        import apprise
    except ImportError:
        return {"missing": True}
    unknown: list[int] = []
    failed: list[int] = []
    asset = apprise.AppriseAsset(async_mode=False, secure_logging=True)
    for place, url in enumerate(job["urls"]):
        service = apprise.Apprise(asset=asset)
        if not service.add(url):
            unknown.append(place)
        elif not _sent(service, job, apprise.NotifyFormat.TEXT):
            failed.append(place)
    return {"unknown": unknown, "failed": failed}


def _sent(service: Any, job: dict[str, Any], plain: Any) -> bool:
    try:
        return bool(service.notify(title=job["title"], body=job["body"], body_format=plain))
    except Exception:  # noqa: BLE001  a hundred services, each with exceptions of its own
        return False


if __name__ == "__main__":
    main()

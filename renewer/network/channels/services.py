"""The duty of telling a service by apprise, on the worker's side of the door, never in main's process.

apprise knows no time limit of ours, prints and logs: a worker lives for one service's URL, and ends with it.
"""

import contextlib
import logging
from collections.abc import Iterator
from typing import Any

from renewer.errors import GiveUp
from renewer.network import foreign
from renewer.network.channels.messages import TellService, ToldService
from renewer.network.door import Asker
from renewer.network.protocol import DoorMessage


def prepare(_of: str) -> None:
    """Import it, and all that it knows of services, while there are rights."""
    foreign.ready()
    with contextlib.suppress(Exception, SystemExit):
        _service("json://localhost")


class Teller:
    """Tells one service."""

    asks = TellService

    def answer(self, request: TellService, main: Asker) -> Iterator[DoorMessage]:  # noqa: ARG002
        """Whether it took it."""
        logging.disable(logging.CRITICAL)
        try:
            service = _service(request.url)
        except ImportError:
            hint = "pip install 'renewer[apprise]'"
            raise GiveUp("apprise is not installed", hint=hint, kind="channel") from None
        if service is None:
            yield ToldService(outcome="unknown")
            return
        took: list[bool] = []
        if not foreign.within(request.limit, lambda: took.append(_sent(service, request))):
            yield ToldService(outcome="late")
        else:
            yield ToldService(outcome="taken" if took == [True] else "failed")


def _service(url: str) -> Any:
    """Apprise with this URL; None if that is none that it knows."""
    import apprise

    asset = apprise.AppriseAsset(async_mode=False, secure_logging=True)
    service = apprise.Apprise(asset=asset)
    return service if service.add(url) else None


def _sent(service: Any, request: TellService) -> bool:
    from apprise import NotifyFormat

    try:
        return bool(service.notify(title=request.title, body=request.body, body_format=NotifyFormat.TEXT))
    except Exception:  # noqa: BLE001  a hundred services, each with exceptions of its own
        return False

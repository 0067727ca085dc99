"""The duty of looking at ports, on the worker's side of the door."""

import itertools
import math
from collections.abc import Iterable, Iterator

from renewer.network.door import Asker
from renewer.network.protocol import Message
from renewer.network.verify.messages import SIGHTS, Look, Settle, Sights
from renewer.network.verify.settling import settle
from renewer.network.verify.sight import Sight, look


class Looks:
    """Looks at what ports show."""

    asks = Look | Settle

    def answer(self, request: Look | Settle, main: Asker) -> Iterator[Message]:
        """What was seen, in the order of what was asked."""
        match request:
            case Look():
                return _together(
                    look(
                        request.targets,
                        timeout=request.timeout,
                        workers=request.workers,
                        until=math.inf if request.until is None else request.until,
                        again=dict(request.again),
                        cancelled=main.cancelled,
                    )
                )
            case Settle():
                return _together(
                    settle(
                        request.wanted,
                        within=request.within,
                        times=request.times,
                        over=request.over,
                        workers=request.workers,
                        once=request.once,
                    )
                )


def _together(sights: Iterable[Sight]) -> Iterator[Message]:
    """Some sights a message."""
    found = iter(sights)
    while some := tuple(itertools.islice(found, SIGHTS)):
        yield Sights(sights=some)

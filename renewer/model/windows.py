"""When servers may be touched."""

from renewer.model.value import Value


class DeployWindow(Value):
    """When a certificate may be deployed: on these weekdays (0 is Monday) from `start` to `end`.

    In minutes of the day as the clocks of `zone` show it; an end that is not after the start lies on the next
    day. `text` is how the config says it. `fault` is why this host cannot tell when that is: such a window
    never opens.
    """

    text: str
    days: tuple[int, ...]
    start: int
    end: int
    zone: str
    fault: str = ""

"""The contract of channels: `send` gives one message to one channel, or raises RenewerError saying why not.

What a channel took it is not given again. Secrets are taken when a channel is used, and leave no trace.
"""

import base64
from collections.abc import Callable, Iterable

from renewer.errors import GiveUp, RenewerError, RetryLater
from renewer.model.desired import Apprise, Channel, Email, Program, Secret, Webhook
from renewer.notify.message import Message
from renewer.secrets import proxy as proxy_url
from renewer.secrets import resolve

Resolve = Callable[[Secret | None], str | None]

_SHORTEST = 4  # characters of a secret that is looked for in other people's words


def send(channel: Channel, message: Message, proxy: str | Secret | None = None) -> str:
    """Give a message to a channel; `proxy` is the way to webhooks.

    Returns what a run should tell all the same ("" mostly). Raises RenewerError if it was not taken.
    """
    secrets: list[str] = []

    def secret(of: Secret | None) -> str | None:
        if of is None:
            return None
        secrets.append(resolve(of))
        return secrets[-1]

    def way() -> str | None:
        if not isinstance(proxy, Secret):
            return proxy
        secrets.append(proxy_url(proxy))
        return secrets[-1]

    try:
        return without(_send(channel, message, secret, way), secrets)
    except RenewerError as error:
        text, hint = without(error.text, secrets), without(error.hint, secrets)
        raise type(error)(text, hint=hint, kind="channel") from None
    except Exception as error:  # noqa: BLE001  one channel's defect is not the others', nor the run's
        raise RetryLater(
            f"a defect of this program: {type(error).__name__}", hint="please report it", kind="channel"
        ) from None


def without(text: str, secrets: Iterable[str]) -> str:
    """A stranger's words without our secrets in them, plain or as base64."""
    for one in sorted(secrets, key=len, reverse=True):
        if len(one) >= _SHORTEST:
            for form in (one, base64.b64encode(one.encode()).decode()):
                text = text.replace(form, "…")
    return text


def _send(channel: Channel, message: Message, secret: Resolve, way: Callable[[], str | None]) -> str:
    """Modules are imported when their channel is used."""
    match channel:
        case Email():
            from renewer.notify import mail

            return mail.deliver(channel, message, secret(channel.password))
        case Webhook():
            from renewer.notify import webhook

            url, key = secret(channel.url) or "", secret(channel.secret)
            return webhook.deliver(channel, message, url, key, proxy=way())
        case Apprise():
            from renewer.notify import apprise

            to = channel.urls + (channel.escalate_to if message.escalated else ())
            return apprise.deliver(message, [secret(one) or "" for one in to])
        case Program():
            return call_program(channel, message)


def call_program(channel: Program, message: Message) -> str:
    """Give it as JSON to a program of the operator's: exit code 0 means that it took the message."""
    from renewer import ownership, proc, secrets, words
    from renewer.notify.webhook import document

    path = channel.run[0]
    if fault := ownership.why_not_run(path, f"`run` in [notify.{channel.name}]"):
        raise GiveUp(fault, kind="channel")
    own, found = secrets.variables(channel.env)
    env = {**proc.scrubbed_environment(), **own}
    env |= {"RENEWER_CHANNEL": channel.name, "RENEWER_RUN": message.run, "RENEWER_SUBJECT": message.subject}
    body = document(message, as_text=True)
    ended = proc.run(channel.run, stdin=body, env=env, timeout=channel.timeout)
    if ended.timed_out:
        raise RetryLater(f"{path} was not done within {channel.timeout:g} s", kind="channel")
    if ended.code != 0:
        said = words.sentence(secrets.hidden(proc.last_telling_line(ended.output), found), 200)
        text = f"{path} failed with exit code {proc.exit_words(ended.code)}" + (f": {said}" if said else "")
        raise RetryLater(text, hint="run it by hand with a sample of `renewer notify test`", kind="channel")
    return ""

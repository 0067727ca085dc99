"""Notices as JSON on the stdin of a program of the operator's."""

from renewer import ownership, proc, secrets, words
from renewer.errors import GiveUp, RetryLater
from renewer.model.desired import Program
from renewer.notify.message import Message
from renewer.notify.webhook import document


def deliver(channel: Program, message: Message) -> str:
    """Run the program; exit code 0 means that it took the message. Raises RenewerError otherwise."""
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

"""The tables of [notify.X], one a type: `type` tells them apart."""

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType, field

from renewer.config.tables import DURATION, SecretTable, Table
from renewer.model.desired import MailSecurity, Topic

_ON = "What is told here: failed recovered renewed expiring degraded; default all."


class EmailTable(Table, tag_field="type", tag="email"):
    """Notices by e-mail."""

    to: Annotated[list[str], Meta(description="Who is told.")]
    sender: Annotated[str, Meta(description="Who it comes from.")] = field(name="from")
    on: Annotated[list[Topic], Meta(description=_ON)] | UnsetType = UNSET
    server: Annotated[str, Meta(description="The SMTP server, as smtp.example.org:587.")] | UnsetType = UNSET
    security: (
        Annotated[MailSecurity, Meta(description="starttls, tls; plain only to a loopback address.")]
        | UnsetType
    ) = UNSET
    username: Annotated[str, Meta(description="Name to log in with.")] | UnsetType = UNSET
    password: Annotated[SecretTable, Meta(description="Where the password is.")] | UnsetType = UNSET
    ca_bundle: (
        Annotated[str, Meta(description="PEM file to trust instead of the system's roots.")] | UnsetType
    ) = UNSET
    sendmail: (
        Annotated[str, Meta(description="A local sendmail instead of a server; absolute path.")] | UnsetType
    ) = UNSET
    escalate_to: (
        Annotated[list[str], Meta(description="Who is told too when nobody acts for long.")] | UnsetType
    ) = UNSET


class WebhookTable(Table, tag_field="type", tag="webhook"):
    """Notices as JSON, posted to a URL."""

    url: Annotated[SecretTable, Meta(description="Where the URL is; it may hold a token.")]
    on: Annotated[list[Topic], Meta(description=_ON)] | UnsetType = UNSET
    secret: (
        Annotated[SecretTable, Meta(description="Where the key of the HMAC signature is.")] | UnsetType
    ) = UNSET
    ca_bundle: (
        Annotated[str, Meta(description="PEM file to trust instead of the system's roots.")] | UnsetType
    ) = UNSET


class AppriseTable(Table, tag_field="type", tag="apprise"):
    """Notices to chat, push and pager services."""

    urls: Annotated[list[SecretTable], Meta(description="Where apprise's URLs are; they hold passwords.")]
    on: Annotated[list[Topic], Meta(description=_ON)] | UnsetType = UNSET
    escalate_to: (
        Annotated[list[SecretTable], Meta(description="URLs that are told too when nobody acts for long.")]
        | UnsetType
    ) = UNSET


class ProgramTable(Table, tag_field="type", tag="command"):
    """Notices as JSON on the stdin of a program."""

    run: Annotated[list[str], Meta(description="The program and its arguments; absolute path.")]
    on: Annotated[list[Topic], Meta(description=_ON)] | UnsetType = UNSET
    timeout: (
        Annotated[str, Meta(description="Longest time it may take, as 60s.", extra_json_schema=DURATION)]
        | UnsetType
    ) = UNSET
    env: (
        Annotated[
            dict[str, str | SecretTable],
            Meta(description="Environment variables for it; a secret as { file = … } and the like."),
        ]
        | UnsetType
    ) = UNSET


ChannelTable = EmailTable | WebhookTable | AppriseTable | ProgramTable

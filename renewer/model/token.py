"""The token of a challenge, checked before it becomes a file name or a path (RFC 8555 §8.3)."""

import re

from renewer.errors import OurFault

URL_PATH = "/.well-known/acme-challenge/"  # what the token is appended to, RFC 8555 §8.3
MAX_LENGTH = 200  # real ones have 22 to 43 characters; a file name ends at 255
THUMBPRINT_LENGTH = 43  # SHA-256 as base64url, RFC 8555 §8.1

# RFC 8555 §8.3: "It MUST NOT contain any characters outside the base64url alphabet and MUST NOT include
# base64 padding characters". So it can be no dot, no slash and no hidden file.
_TOKEN = re.compile(rf"[A-Za-z0-9_-]{{1,{MAX_LENGTH}}}")


def well_formed(token: str) -> bool:
    """Whether it is what RFC 8555 §8.3 allows, and short enough for a file name."""
    return _TOKEN.fullmatch(token) is not None


def check(token: str) -> None:
    """Raise OurFault (the authority breaks the protocol) if the token is not safe to use."""
    if not well_formed(token):
        raise OurFault(
            f"the authority sent a token that RFC 8555 §8.3 does not allow: {token[:80]!r}",
            hint="nothing was written; tell the authority's operators",
            kind="token",
        )


def may_be_answer_to(token: str, content: bytes) -> bool:
    """Whether a file's content is the answer to this token for any account, or the beginning of one.

    A run that was killed while it wrote leaves a beginning; nobody else has a reason to write either.
    """
    lead = f"{token}.".encode()
    if len(content) <= len(lead):
        return lead.startswith(content)
    return re.fullmatch(re.escape(lead) + rb"[A-Za-z0-9_-]{1,%d}" % THUMBPRINT_LENGTH, content) is not None

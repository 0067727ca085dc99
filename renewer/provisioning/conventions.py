"""How scripts of other traditions are called to publish a record: one function a convention.

Each says which programs are run, one after the other, with which arguments, environment and input.
"""

import os.path
from collections.abc import Mapping, Sequence
from enum import StrEnum

import msgspec

from renewer.errors import GiveUp
from renewer.model.desired import OptionValue
from renewer.model.dns_provider import TxtRecord
from renewer.model.value import Value

SCHEMA = 1
LATER = 75  # exit code of our own convention
_WRAPPER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "acme_sh.sh")


class Event(StrEnum):
    """What a script is asked to do, as our own convention says it."""

    PRESENT = "present"
    CLEAN_UP = "clean_up"


class Call(Value):
    """One run of a program for some records."""

    argv: tuple[str, ...]
    records: tuple[TxtRecord, ...]
    env: tuple[tuple[str, str], ...] = ()
    stdin: bytes = b""


class Job(Value):
    """What is to be done; `said` is what the script printed when it published a record, by name and value."""

    event: Event
    zone: str
    records: tuple[TxtRecord, ...]
    options: Mapping[str, OptionValue]
    said: Mapping[tuple[str, str], str]

    def argv(self, key: str = "run") -> tuple[str, ...]:
        """The program of an option, with its arguments."""
        given = self.options[key]
        return given if isinstance(given, tuple) else (str(given),)


def calls(job: Job) -> Sequence[Call]:
    """The calls for a job, by its convention. Raises GiveUp if one cannot be made."""
    return _CONVENTIONS[str(job.options.get("convention", "renewer"))](job)


def programs(options: Mapping[str, OptionValue]) -> Sequence[tuple[str, str, bool]]:
    """Every file that is run or read: (option, path, whether it must be executable)."""
    api = options.get("convention") == "acme.sh"
    found = [
        (key, given[0] if isinstance(given, tuple) else str(given), not api)
        for key, given in options.items()
        if key in ("run", "cleanup")
    ]
    return [*found, *([("acme_sh", acme_sh(options), False)] if api else [])]


def acme_sh(options: Mapping[str, OptionValue]) -> str:
    """Where acme.sh lies: where it installs itself, unless the config says otherwise."""
    return str(options.get("acme_sh", os.path.expanduser("~/.acme.sh/acme.sh")))


def _renewer(job: Job) -> Sequence[Call]:
    """`run present|clean_up`, all records of a zone as JSON on stdin."""
    records = [msgspec.structs.asdict(record) for record in job.records]  # also what is empty
    document = {"schema": SCHEMA, "event": job.event, "zone": job.zone, "records": records}
    argv = (*job.argv(), job.event.value)
    return [Call(argv=argv, records=job.records, stdin=msgspec.json.encode(document))]


def _certbot(job: Job) -> Sequence[Call]:
    """`--manual-auth-hook`, `--manual-cleanup-hook`: once a record, told by CERTBOT_… alone.

    As there, CERTBOT_TOKEN is not set for DNS: scripts tell http-01 by it.
    """
    cleaning = job.event is Event.CLEAN_UP
    if cleaning and "cleanup" not in job.options:
        return []
    everybody = ",".join(record.domain for record in job.records)
    made = []
    for number, record in enumerate(job.records, 1):
        env = {
            "CERTBOT_DOMAIN": record.domain,
            "CERTBOT_VALIDATION": record.value,
            "CERTBOT_ALL_DOMAINS": everybody,
            "CERTBOT_REMAINING_CHALLENGES": str(len(job.records) - number),
        }
        if cleaning:
            env["CERTBOT_AUTH_OUTPUT"] = job.said.get((record.name, record.value), "")
        argv = job.argv("cleanup" if cleaning else "run")
        made.append(Call(argv=argv, records=(record,), env=tuple(env.items())))
    return made


def _dehydrated(job: Job) -> Sequence[Call]:
    """`deploy_challenge DOMAIN TOKEN VALUE`; with HOOK_CHAIN all at once, but for two values at a name."""
    verb = "deploy_challenge" if job.event is Event.PRESENT else "clean_challenge"
    names = [record.name for record in job.records]
    chained = job.options.get("chain") == "yes" and len(set(names)) == len(names)
    groups = [job.records] if chained else [(record,) for record in job.records]
    return [
        Call(
            argv=(
                *job.argv(),
                verb,
                *(word for one in group for word in (one.domain, one.token, one.value)),
            ),
            records=group,
        )
        for group in groups
    ]


def _lego(job: Job) -> Sequence[Call]:
    """`present|cleanup FQDN. VALUE`; RAW: `present -- DOMAIN TOKEN KEYAUTH`."""
    verb = "present" if job.event is Event.PRESENT else "cleanup"
    made = []
    for record in job.records:
        words: tuple[str, ...] = (verb, f"{record.name}.", record.value)
        if "mode" in job.options:
            if not record.key_authorization:
                raise GiveUp(
                    f"{record.name} TXT {record.value} of a killed run may still be there",
                    hint="in the mode RAW it cannot be named to the script any more: remove it by hand",
                    kind="config",
                )
            words = (verb, "--", record.domain, record.token, record.key_authorization)
        made.append(Call(argv=(*job.argv(), *words), records=(record,)))
    return made


def _acme_sh(job: Job) -> Sequence[Call]:
    """The functions `dns_xx_add` and `dns_xx_rm` of a dnsapi file, beside those of acme.sh."""
    if len(job.argv()) > 1:
        raise GiveUp(
            "the option run has arguments, and a dnsapi file of acme.sh takes none",
            hint='run = "/root/.acme.sh/dnsapi/dns_xx.sh"',
            kind="config",
        )
    act = "add" if job.event is Event.PRESENT else "rm"
    script = acme_sh(job.options)
    return [
        Call(
            argv=("/bin/sh", _WRAPPER, script, *job.argv(), act, record.name, record.value),
            records=(record,),
            env=(("LE_WORKING_DIR", os.path.dirname(script)),),
        )
        for record in job.records
    ]


_CONVENTIONS = {
    "renewer": _renewer,
    "certbot": _certbot,
    "dehydrated": _dehydrated,
    "lego": _lego,
    "acme.sh": _acme_sh,
}

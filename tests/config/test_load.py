import os
from datetime import timedelta
from pathlib import Path

import pytest

from renewer.config.hooks import hooks_directory
from renewer.config.load import load
from renewer.context import asked
from renewer.errors import ConfigError
from renewer.model.desired import (
    SERVER_EVENTS,
    Config,
    Convention,
    Copy,
    CopyPart,
    Dns01,
    DnsAccount01,
    DnsPersist01,
    Eab,
    Endpoint,
    HookEvent,
    Http01,
    KeyType,
    Preflight,
    Propagation,
    PropagationCheck,
    Rfc2136,
    Secret,
    SecretSource,
    Starttls,
    TlsAlpn01,
    Tsig,
    TsigAlgorithm,
    Unreachable,
)
from renewer.model.names import Identifier
from tests.config.conftest import HEAD, WWW, Faulty, Load, Write

EXAMPLE = Path(__file__).parents[2] / "config.example.toml"


def test_the_least_is_enough(loaded: Load) -> None:
    """The five lines of the first example give a complete wish."""
    config = loaded(
        '[defaults]\nauthority = "letsencrypt"\ncontact = ["ops@example.org"]\nagree_terms = true\n'
        '[certificate.www]\nnames = ["example.org", "www.example.org"]\n'
        'challenge = { type = "http-01", webroot = "/var/www/html" }\nhooks = ["nginx"]\n'
    )
    www, authority, hook = (
        config.certificates["www"],
        config.authorities["letsencrypt"],
        config.hooks["nginx"],
    )
    assert [str(name) for name in www.names] == ["example.org", "www.example.org"]
    assert www.authorities == ("letsencrypt",)
    assert www.challenge == Http01(webroot="/var/www/html")
    assert www.endpoints == (Endpoint(server_name="example.org"), Endpoint(server_name="www.example.org"))
    assert www.hosts == (config.agent.host,) == (os.uname().nodename.partition(".")[0],)
    assert (www.key, www.key_mode, www.placeholder) == (KeyType.ECDSA_P256, 0o600, True)
    assert authority.directory == "https://acme-v02.api.letsencrypt.org/directory"
    assert authority.staging == "https://acme-staging-v02.api.letsencrypt.org/directory"
    assert authority.contact == ("mailto:ops@example.org",)
    assert (hook.run, hook.shipped, hook.events) == (f"{hooks_directory()}/nginx", True, SERVER_EVENTS)
    assert config.agent.log_path == "/var/lib/renewer/renewal.log"


def test_how_the_renewal_log_is_kept(loaded: Load) -> None:
    """Sizes in bytes; 0 leaves rotation to logrotate; by default it is ours, and nobody else is told."""
    usual = loaded("").agent
    assert (usual.log_size, usual.log_keep, usual.journald, usual.syslog) == (10 << 20, 5, False, False)
    agent = loaded('[agent]\nlog_size = "64K"\nlog_keep = 12\njournald = true\nsyslog = true').agent
    assert (agent.log_size, agent.log_keep, agent.journald, agent.syslog) == (65536, 12, True, True)
    assert loaded('[agent]\nlog_size = "0"').agent.log_size == 0


def test_nothing_is_a_config(loaded: Load) -> None:
    """An empty file is no fault: there is only nothing to keep."""
    assert loaded("").certificates == {}


def test_defaults_go_for_all_that_does_not_say_otherwise(loaded: Load) -> None:
    """A certificate takes each key of [defaults] that it does not set itself."""
    config = loaded(
        HEAD
        + 'key = "rsa-2048"\nkey_mode = "0640"\nrenew_before = "20d"\nplaceholder = false\nreuse_key = true\n'
        + 'profile = "tlsserver"\nhosts = ["a", "b"]\nendpoints = []\nhooks = ["nginx"]\n'
        + 'challenges = { "www.example.org" = { type = "http-01", listen = "[::]:080" } }\n'
        + WWW
        + '[certificate.own]\nnames = ["own.example"]\nkey = "ecdsa-p384"\nkey_mode = "600"\nhosts = ["c"]\n'
        + 'authorities = ["google", "letsencrypt"]\nhooks = []\nprofile = "classic"\n'
    )
    www, own = config.certificates["www"], config.certificates["own"]
    assert (www.key, www.key_mode, www.renew_before) == (KeyType.RSA_2048, 0o640, timedelta(days=20))
    assert (www.placeholder, www.reuse_key, www.profile, www.hosts) == (False, True, "tlsserver", ("a", "b"))
    assert (www.hooks, www.endpoints) == (("nginx",), ())
    assert www.challenges == ((Identifier.parse("www.example.org"), Http01(listen="[::]:80")),)
    assert (own.key, own.key_mode, own.hosts, own.hooks) == (KeyType.ECDSA_P384, 0o600, ("c",), ())
    assert (own.authorities, own.profile, own.challenges) == (("google", "letsencrypt"), "classic", ())
    assert list(config.authorities) == ["letsencrypt", "google"]


def test_authorities(loaded: Load) -> None:
    """A table changes a built-in authority or makes a new one; defaults go where it says nothing."""
    config = loaded(
        HEAD
        + '[authority.google]\ncontact = ["MAILTO@Example.ORG"]\n'
        + 'eab = { kid = "k", hmac = { command = ["/bin/pass", "acme"] } }\n'
        + '[authority.pebble]\ndirectory = "https://localhost:14000/dir"\nca_bundle = "/x/ca.pem"\n'
        + 'roots = "any"\naccount_key = "rsa-4096"\nproxy = "http://proxy:3128"\n'
    )
    google, pebble = config.authorities["google"], config.authorities["pebble"]
    assert google.directory == "https://dv.acme-v02.api.pki.goog/directory"
    assert google.contact == ("mailto:MAILTO@example.org",)
    assert google.eab == Eab(
        kid="k", hmac=Secret(source=SecretSource.COMMAND, argument=("/bin/pass", "acme"))
    )
    assert (google.agree_terms, google.roots) == (True, "system")
    assert (pebble.directory, pebble.ca_bundle, pebble.roots) == (
        "https://localhost:14000/dir",
        "/x/ca.pem",
        "any",
    )
    assert (pebble.account_key, pebble.proxy, pebble.staging) == (KeyType.RSA_4096, "http://proxy:3128", None)


def test_challenges_by_name_and_in_place(loaded: Load) -> None:
    """A challenge is a table of its own, or stands where it is used."""
    config = loaded(
        HEAD
        + '[challenge.open]\ntype = "http-01"\nlisten = "0.0.0.0:80"\npreflight = "off"\n'
        + 'before = ["/bin/open", "80"]\nafter = ["/bin/close"]\n'
        + WWW
        + 'challenge = "open"\n'
    )
    assert config.certificates["www"].challenge == Http01(
        listen="0.0.0.0:80", preflight=Preflight.OFF, before=("/bin/open", "80"), after=("/bin/close",)
    )


def _endpoints(config: Config) -> list[str]:
    return [str(endpoint) for endpoint in config.certificates["www"].endpoints]


@pytest.mark.parametrize(
    ("given", "endpoint"),
    [
        ('"example.org"', Endpoint(server_name="example.org")),
        ('"Example.org.:8443"', Endpoint(server_name="example.org", port=8443)),
        ('"192.0.2.7"', Endpoint(server_name="192.0.2.7")),
        ('"[2001:db8::1]:8443"', Endpoint(server_name="example.org", port=8443, host="2001:db8::1")),
        ('"127.0.0.1:8443"', Endpoint(server_name="example.org", port=8443, host="127.0.0.1")),
        ('"::1"', Endpoint(server_name="example.org", host="::1")),
        ('{ host = "127.0.0.1", port = 44 }', Endpoint(server_name="example.org", port=44, host="127.0.0.1")),
        (
            '{ host = "mx.example.net", server_name = "example.org", starttls = "smtp" }',
            Endpoint(server_name="example.org", port=25, host="mx.example.net", starttls=Starttls.SMTP),
        ),
        ('{ host = "example.org" }', Endpoint(server_name="example.org", host="example.org")),
        ('{ server_name = "example.org", port = 1 }', Endpoint(server_name="example.org", port=1)),
    ],
)
def test_endpoints(write: Write, given: str, endpoint: Endpoint) -> None:
    """Both forms, with the usual ports, and the first name asked for where only an address is given."""
    table = f'[certificate.www]\nnames = ["example.org", "192.0.2.7"]\nendpoints = [{given}]\n'
    config = load(str(write(HEAD + table)))
    assert config.certificates["www"].endpoints == (endpoint,)


def test_no_hooks_no_default_endpoints(loaded: Load) -> None:
    """Without hooks nobody is known to serve it; with them, names are looked at, addresses are not."""
    table = '[certificate.www]\nnames = ["example.org", "192.0.2.7"]\n'
    assert _endpoints(loaded(HEAD + table)) == []
    assert _endpoints(loaded(HEAD + table + 'hooks = ["nginx"]\n')) == ["example.org:443"]


def test_copies(loaded: Load) -> None:
    """Copies keep the order of writing, key first, whatever the order in the file."""
    config = loaded(
        HEAD
        + WWW
        + 'copies = [{ fullchain = "/etc//x/./www.pem", key = "/etc/x/www.key", owner = "root", '
        + 'group = "ssl", mode = "0440" }, { combined = "/c" }]\n'
    )
    assert config.certificates["www"].copies == (
        Copy(
            paths=((CopyPart.KEY, "/etc/x/www.key"), (CopyPart.FULLCHAIN, "/etc/x/www.pem")),
            owner="root",
            group="ssl",
            mode=0o440,
        ),
        Copy(paths=((CopyPart.COMBINED, "/c"),)),
    )


def test_keystores(loaded: Load) -> None:
    """Keystores come last, sealed by a secret that is a reference; the alias is the certificate's name."""
    config = loaded(
        HEAD
        + WWW
        + 'copies = [{ pkcs12 = "/p", jks = "/j", der = "/d", key_der = "/k", password = { file = "/s" } }]\n'
    )
    assert config.certificates["www"].copies == (
        Copy(
            paths=(
                (CopyPart.KEY_DER, "/k"),
                (CopyPart.DER, "/d"),
                (CopyPart.PKCS12, "/p"),
                (CopyPart.JKS, "/j"),
            ),
            password=Secret(source=SecretSource.FILE, argument=("/s",)),
            alias="www",
        ),
    )


def test_hooks(loaded: Load, tmp_path: Path) -> None:
    """A path hears deploy only unless it asks for more; a relative one begins at its file's directory."""
    config = loaded(
        HEAD
        + '[hook.own]\nrun = "./hooks/own"\n'
        + '[hook.more]\nrun = "/bin/more"\nevents = ["rollback", "deploy"]\ntimeout = "5m"\n'
        + 'env = { A = "b" }\n'
        + '[hook.old]\nrun = "/bin/old"\nconvention = "certbot"\n'
        + '[hook.second]\nrun = "nginx"\nenv = { NGINX_PID = "/run/second.pid" }\n'
    )
    hooks = config.hooks
    assert (hooks["own"].run, hooks["own"].events) == (f"{tmp_path}/hooks/own", (HookEvent.DEPLOY,))
    assert (hooks["own"].shipped, hooks["own"].timeout) == (False, 60.0)
    assert hooks["more"].events == (HookEvent.DEPLOY, HookEvent.ROLLBACK)
    assert (hooks["more"].timeout, hooks["more"].env) == (300.0, (("A", "b"),))
    assert (hooks["old"].convention, hooks["old"].events) == (Convention.CERTBOT, (HookEvent.DEPLOY,))
    assert (hooks["second"].shipped, hooks["second"].events) == (True, SERVER_EVENTS)


def test_include(write: Write, tmp_path: Path) -> None:
    """Included files add tables in order of their names; what is relative in them begins at them."""
    write('[certificate.b]\nnames = ["b.example"]\n[hook.b]\nrun = "./b"\n', "conf.d/2.toml")
    write('[certificate.a]\nnames = ["a.example"]\n', "conf.d/1.toml")
    write("this is no TOML", "conf.d/.hidden.toml")
    config = load(str(write('include = ["conf.d/*.toml", "conf.d/1.toml"]\n' + HEAD + WWW)))
    assert list(config.certificates) == ["www", "a", "b"]
    assert config.hooks["b"].run == f"{tmp_path}/conf.d/b"


def test_example_loads_and_names_every_key() -> None:
    """The example in the repository is right, and shows every key of the schema."""
    import tomllib

    from renewer.config.schema import json_schema

    schema = json_schema()
    definitions = schema["$defs"]
    assert isinstance(definitions, dict)
    known = {key for table in definitions.values() for key in table.get("properties", {})}
    keys: set[str] = set()

    def collect(value: object) -> None:
        if isinstance(value, dict):
            keys.update(value)
            for inner in value.values():
                collect(inner)
        elif isinstance(value, list):
            for inner in value:
                collect(inner)

    collect(tomllib.loads(EXAMPLE.read_text()))
    assert known - keys - {"env", "credential", "command", "authority", "authorities", "csr"} == set()
    assert all(
        word in EXAMPLE.read_text() for word in ("{ env =", "{ credential =", "{ command =", "# csr =")
    )


def test_example_is_right(write: Write) -> None:
    """The example loads; from a copy, since a checkout may be writable by a group."""
    config = load(str(write(EXAMPLE.read_text())))
    assert list(config.certificates) == ["www", "mail"]


def test_schema_describes_every_key() -> None:
    """Editors show what a key means: each has a description, and unknown ones are marked."""
    from renewer.config.schema import json_schema

    schema = json_schema()
    definitions = schema["$defs"]
    assert isinstance(definitions, dict)
    silent = [
        f"{name}.{key}"
        for name, table in definitions.items()
        for key, value in table.get("properties", {}).items()
        if "description" not in value and key != "type"
    ]
    assert silent == []
    assert all(
        table["additionalProperties"] is False for table in definitions.values() if "properties" in table
    )


def test_loading_is_light(write: Write) -> None:
    """Loading a right config imports nothing heavy: the timer does it every hour on every host."""
    import subprocess
    import sys

    path = write(HEAD + WWW + 'hooks = ["nginx"]\n')
    code = (
        f"import sys, renewer.config.load as room; room.load({str(path)!r}); print(*sys.modules, sep='\\n')"
    )
    root = EXAMPLE.parent
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    heavy = {
        "logging", "dataclasses", "json", "idna", "difflib", "pathlib", "socket", "subprocess", "ssl",
        "requests", "cryptography", "rich", "glob", "renewer.config.check", "renewer.config.lines",
    }  # fmt: skip
    assert heavy & set(done.stdout.split()) == set()


def test_dns_challenge(loaded: Load) -> None:
    """A dns-01 challenge with everything: addresses with their ports, the key as a reference only."""
    config = loaded(
        HEAD
        + '[certificate.www]\nnames = ["*.example.org", "example.org"]\nchallenge = "dns"\n'
        + '[challenge.dns]\ntype = "dns-01"\nprovider = "rfc2136"\nserver = "2001:db8::53"\n'
        + 'tsig = { name = "Acme.", secret = { env = "TSIG" }, algorithm = "hmac-sha512" }\n'
        + 'propagation = { resolvers = ["192.0.2.1", "[::1]:5353"], timeout = "90s", '
        + 'unreachable = "require" }\n'
    )
    secret = Secret(source=SecretSource.ENV, argument=("TSIG",))
    assert config.certificates["www"].challenge == Dns01(
        provider="rfc2136",
        rfc2136=Rfc2136(
            server="[2001:db8::53]:53",
            tsig=Tsig(name="acme", secret=secret, algorithm=TsigAlgorithm.HMAC_SHA512),
        ),
        propagation=Propagation(
            timeout=timedelta(seconds=90),
            resolvers=("192.0.2.1:53", "[::1]:5353"),
            unreachable=Unreachable.REQUIRE,
        ),
    )


def test_dns_without_a_check(loaded: Load) -> None:
    """`check = "none"` waits for what is stated; no time at all is a statement, too."""
    config = loaded(
        HEAD
        + WWW
        + 'challenge = { type = "dns-01", provider = "rfc2136", server = "ns1.example.org:5353", '
        + 'propagation = { check = "none", wait = "0s" } }\n'
    )
    assert config.certificates["www"].challenge == Dns01(
        provider="rfc2136",
        rfc2136=Rfc2136(server="ns1.example.org:5353"),
        propagation=Propagation(check=PropagationCheck.NONE),
    )


def test_several_challenges_in_order(loaded: Load) -> None:
    """`challenge` takes a list of names and tables, tried in its order; so do the single names."""
    config = loaded(
        HEAD
        + '[certificate.www]\nnames = ["example.org", "*.example.org", "192.0.2.7"]\n'
        + 'challenge = ["tls", "web", { type = "dns-persist-01", experimental = true }]\n'
        + 'challenges = { "*.example.org" = ["account", "persist"] }\n'
        + '[challenge.tls]\ntype = "tls-alpn-01"\nlisten = "[::]:443"\n'
        + '[challenge.web]\ntype = "http-01"\nscript = ["/usr/local/sbin/put", "-v"]\n'
        + '[challenge.persist]\ntype = "dns-persist-01"\nexperimental = true\n'
        + 'propagation = { resolvers = ["192.0.2.1"] }\n'
        + '[challenge.account]\ntype = "dns-account-01"\nexperimental = true\n'
        + 'provider = "rfc2136"\nserver = "192.0.2.1"\n'
    )
    www, star = config.certificates["www"], Identifier.parse("*.example.org")
    assert www.challenge == TlsAlpn01(listen="[::]:443")
    assert www.otherwise == (Http01(script=("/usr/local/sbin/put", "-v")), DnsPersist01())
    assert www.challenges == (
        (star, DnsAccount01(provider="rfc2136", rfc2136=Rfc2136(server="192.0.2.1:53"))),
        (star, DnsPersist01(propagation=Propagation(resolvers=("192.0.2.1:53",)))),
    )


def test_config_error_is_told_whole(write: Write) -> None:
    """The error itself, as it goes to a log, names every fault."""
    with pytest.raises(ConfigError, match=r"agnt: is not a known key; .*defaults\.hoks: is not a known key"):
        load(str(write(HEAD.replace("agent", "agnt") + "hoks = []\n" + WWW)))


def test_profiles_in_order(loaded: Load) -> None:
    """A text is one profile, a list several: those of a certificate overrule all of its authority's."""
    config = loaded(
        HEAD
        + WWW
        + '[authority.letsencrypt]\nprofile = ["tlsserver", "classic"]\n'
        + '[certificate.own]\nnames = ["own.example"]\nprofile = ["shortlived", "tlsserver"]\n'
    )
    found = [asked(one, config.authorities)[0].profiles for one in config.certificates.values()]
    assert found == [("tlsserver", "classic"), ("shortlived", "tlsserver")]


def test_proxies(loaded: Load) -> None:
    """As text without a password, or as a secret; of the agent and of each authority."""
    config = loaded(
        HEAD.replace("[agent]\n", '[agent]\nproxy = { env = "PROXY" }\n')
        + WWW
        + '[authority.letsencrypt]\nproxy = "http://proxy.example.org:3128"\n'
    )
    assert config.agent.proxy == Secret(source=SecretSource.ENV, argument=("PROXY",))
    assert config.authorities["letsencrypt"].proxy == "http://proxy.example.org:3128"


def test_the_ports_of_a_hook(loaded: Load) -> None:
    """As its table says; else a shipped hook for mail or a database has the usual ones, a web server none."""
    tables = '[hook.dovecot]\nports = [10993, 10993, 10143]\n[hook.two]\nrun = "postfix"\n'
    hooks = loaded(HEAD + WWW + 'hooks = ["dovecot", "two", "postgresql", "nginx"]\n' + tables).hooks
    assert [hooks[name].ports for name in ("dovecot", "two", "postgresql", "nginx")] == [
        (10993, 10143),
        (25, 465, 587),
        (5432,),
        (),
    ]


TWO_KINDS = """
[agent]
state = "/var/lib/renewer"
[authority.ca]
directory = "https://ca.example.org/directory"
agree_terms = true
[certificate.www]
names = ["www.example.org"]
authority = "ca"
challenge = {{ type = "http-01", webroot = "/var/www" }}
endpoints = ["www.example.org:443"]
key = {key}
{more}
"""


def test_two_kinds_of_keys_make_two_certificates(loaded: Load) -> None:
    """All else is the same of both; the first has the table's name."""
    found = loaded(TWO_KINDS.format(key='["rsa-3072", "ecdsa-p384"]', more="")).certificates
    assert {name: one.key.value for name, one in found.items()} == {
        "www": "rsa-3072",
        "www-ecdsa": "ecdsa-p384",
    }
    first, second = found.values()
    assert (second.name, first.endpoints, first.names) == ("www-ecdsa", second.endpoints, second.names)
    single = loaded(TWO_KINDS.format(key='["rsa-2048"]', more="")).certificates
    assert {name: one.key.value for name, one in single.items()} == {"www": "rsa-2048"}


@pytest.mark.parametrize(
    ("key", "more", "where", "said"),
    [
        ("[]", "", "certificate.www.key", "is empty"),
        ('["rsa-2048", "rsa-4096"]', "", "certificate.www.key[1]", "has two RSA keys"),
        ('["rsa-2048", "ed25519"]', "", "certificate.www.key[1]", "ed25519"),
        (
            '["rsa-2048", "ecdsa-p256"]',
            'copies = [{ fullchain = "/etc/svc/cert.pem" }]',
            "certificate.www.copies",
            "by the certificates of both kinds",
        ),
        (
            '["ecdsa-p256", "rsa-2048"]',
            (
                '[certificate.www-rsa]\nnames = ["x.example.org"]\nauthority = "ca"\n'
                'challenge = { type = "http-01", webroot = "/var/www" }'
            ),
            "certificate.www.key",
            "there is a table of that name",
        ),
    ],
)
def test_kinds_of_keys_that_cannot_be(faults: Faulty, key: str, more: str, where: str, said: str) -> None:
    """One fault, at the place, in words."""
    (fault,) = faults(TWO_KINDS.format(key=key, more=more))
    assert fault.path == where
    assert said in fault.text

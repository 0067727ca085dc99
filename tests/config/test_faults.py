"""Every fault: where it is said to be, what is said, what is proposed."""

from pathlib import Path

import pytest

from renewer.config.load import load
from renewer.errors import ConfigError
from tests.config.conftest import HEAD, WWW, Faulty, Write

DNS01 = '[challenge.x]\ntype = "dns-01"\nprovider = "rfc2136"\n'
PROPAGATION = DNS01 + 'server = "192.0.2.53"\n[challenge.x.propagation]\n'
RFC2136 = "{type='dns-01', provider='rfc2136', server='a.b'}"
HTTP01 = '[challenge.x]\ntype = "http-01"\n'
CASES = [
    # keys and their sorts
    ("agnet = 1", "agnet", "is not a known key", "did you mean 'agent'?"),
    ('[agent]\nstat = "/x"', "agent.stat", "is not a known key", "'state'"),
    ("[agent]\nworkers = true", "agent.workers", "a whole number, not true or false", ""),
    ("[agent]\nworkers = 1.5", "agent.workers", "not a number with a fraction", ""),
    ("[agent]\nwake = 3600", "agent.wake", "must be text in quotes, not a number", ""),
    ("agent = 1", "agent", "must be a table", ""),
    ("[certificate]\nwww = 1", "certificate.www", "must be a table, not a number", ""),
    ("hook = []", "hook", "must be a table, not a list", ""),
    ('include = "x"', "include", "must be a list, not text", "write it in [ ]"),
    ("include = [1979-05-27]", "include[0]", "not a date or time", ""),
    ("[defaults]\nnames = []", "defaults.names", "is not a known key", ""),
    # [agent]
    ('[agent]\nstate = "x"', "agent.state", "must be an absolute path", ""),
    ('[agent]\nstate = "/../"', "agent.state", "not /", ""),
    ('[agent]\nlog = "/a\\u0000b"', "agent.log", "control characters", ""),
    ('[agent]\nlog_size = "10 MB"', "agent.log_size", "is not a size", ""),
    ('[agent]\nlog_size = "1K"', "agent.log_size", "out of bounds: 64K to 1G", ""),
    ("[agent]\nlog_size = 0", "agent.log_size", "must be text in quotes", ""),
    ("[agent]\nlog_keep = 0", "agent.log_keep", "1 to 1000", ""),
    ('[agent]\njournald = "yes"', "agent.journald", "must be true or false", ""),
    ("[agent]\nsyslog = 1", "agent.syslog", "must be true or false", ""),
    ('[agent]\nledger = "postgres"', "agent.ledger", "is not a kind of ledger", "sqlite"),
    ('[agent]\nhost = "a/b"', "agent.host", "is not a host name", ""),
    ('[agent]\ngroup = ""', "agent.group", "is not a group", ""),
    ('[agent]\nwake = "1w"', "agent.wake", "is not a duration", ""),
    ('[agent]\nwake = "-1h"', "agent.wake", "is not a duration", ""),
    ('[agent]\nwake = "1s"', "agent.wake", "out of bounds: 1m to 7d", ""),
    ("[agent]\nworkers = 0", "agent.workers", "1 to 64", ""),
    ("[hook.nginx]\nports = [0]", "hook.nginx.ports", "0 is no port", "1 to 65535"),
    ("[hook.nginx]\nports = []", "hook.nginx.ports", "is empty", "take it out"),
    # authorities
    ("[authority.my-ca]", "authority.my-ca.directory", "is missing", 'directory = "https://…"'),
    ("[authority.letsencrpt]", "authority.letsencrpt.directory", "is missing", "'letsencrypt'"),
    ('[authority.a]\ndirectory = "http://a/"', "authority.a.directory", "begins with https://", ""),
    ('[authority.a]\ndirectory = "https://u:p@a/"', "authority.a.directory", "user or password", ""),
    ('[authority.google]\nroots = "none"', "authority.google.roots", "system, any or", ""),
    ('[authority.google]\ncontact = ["x"]', "authority.google.contact[0]", "not an e-mail address", ""),
    ('[authority.google]\ncontact = ["a@b.c?d=e"]', "authority.google.contact[0]", "not a host name", ""),
    ('[authority.google]\naccount_key = "rsa"', "authority.google.account_key", "not allowed", ""),
    ("[authority.google.eab]\nkid = 'x'", "authority.google.eab.hmac", "is missing", "{ file ="),
    ('[authority.google.eab]\nkid="x"\nhmac="x"', "authority.google.eab.hmac", "a secret must not", "file"),
    ('[authority.google.eab]\nkid="x"\nhmac={}', "authority.google.eab.hmac", "exactly one of", ""),
    (
        '[authority.google.eab]\nkid="x"\nhmac={file="x"}',
        "authority.google.eab.hmac.file",
        "absolute path",
        "",
    ),
    ('[authority.google.eab]\nkid="x"\nhmac={env="A=B"}', "authority.google.eab.hmac.env", "not a name", ""),
    (
        '[authority.google.eab]\nkid="x"\nhmac={command=[]}',
        "authority.google.eab.hmac.command",
        "absolute",
        "",
    ),
    # challenges
    ("[challenge.x]\nwebroot = '/x'", "challenge.x.type", "is missing", 'type = "http-01"'),
    ("[challenge.x]\ntype = 'dns-persist-01'", "challenge.x.experimental", "a draft", "experimental = true"),
    (
        "[challenge.x]\ntype = 'dns-account-01'\nprovider = 'rfc2136'\nserver = 'a.b'\nexperimental = false",
        "challenge.x.experimental",
        "dns-account-01 is still a draft",
        "experimental = true",
    ),
    ("[challenge.x]\ntype = 'tls-alpn-01'", "challenge.x.listen", "is missing", "0.0.0.0:443"),
    ("[challenge.x]\ntype = 'tls-alpn-01'\nlisten = ':443'", "challenge.x.listen", "0.0.0.0:80", ""),
    (f"{HTTP01}\nscript = ['x']", "challenge.x.script", "absolute path of a program", ""),
    (f"{HTTP01}\nscript = ['/x']\nlisten = '[::]:80'", "challenge.x", "both listen and script", ""),
    ("[challenge.x]\ntype = 'http'", "challenge.x.type", "is not a type of challenge", "http-01"),
    (HTTP01, "challenge.x", "needs either webroot or listen", "webroot ="),
    (HTTP01 + "webroot='/x'\nlisten='[::]:80'", "challenge.x", "has both", "webroot alone"),
    (HTTP01 + "webroot='x'", "challenge.x.webroot", "absolute path", ""),
    (HTTP01 + "listen=':80'", "challenge.x.listen", "an address and a port", ""),
    (HTTP01 + "listen=':::80'", "challenge.x.listen", "IPv6 in brackets", ""),
    (HTTP01 + "listen='localhost:80'", "challenge.x.listen", "an IP address", ""),
    (HTTP01 + "listen='0.0.0.0:65536'", "challenge.x.listen", "an address and a port", ""),
    (HTTP01 + "webroot='/x'\nbefore=['/x']", "challenge.x.before", "goes with listen only", "listen"),
    (HTTP01 + "listen='[::]:80'\nafter=['x']", "challenge.x.after", "absolute path of a program", ""),
    (HTTP01 + "webroot='/x'\npreflight='of'", "challenge.x.preflight", "not allowed", "'off'"),
    # dns-01
    (DNS01.replace("provider", "provid"), "challenge.x.provid", "not a known key", "'provider'"),
    ("[challenge.x]\ntype='dns-01'", "challenge.x.provider", "is missing", "rfc2136"),
    (DNS01.replace("2136", "2163"), "challenge.x.provider", "no provider 'rfc2163'", "'rfc2136'"),
    (DNS01, "challenge.x.server", "is missing", "192.0.2.53:53"),
    (DNS01 + "server='*.a.b'", "challenge.x.server", "not a server's name", ""),
    (DNS01 + "server='a.b:0'", "challenge.x.server", "no valid port", ""),
    (DNS01 + "server='a.b'\nwebroot='/x'", "challenge.x.webroot", "not a known key", "known here"),
    (DNS01 + "server='a.b'\noptions={a='b'}", "challenge.x.options.a", "not an option", "none"),
    (DNS01 + "server='a.b'\noptions={a=1}", "challenge.x.options.a", "in quotes or a list or a table", ""),
    (DNS01 + "server='a.b'\ntsig={name='a'}", "challenge.x.tsig.secret", "is missing", ""),
    (DNS01 + "server='a.b'\ntsig={name='a', secret='x'}", "challenge.x.tsig.secret", "must not", "file"),
    (
        DNS01 + "server='a.b'\ntsig={name='a b', secret={file='/x'}}",
        "challenge.x.tsig.name",
        "not a key's name",
        "",
    ),
    (
        DNS01 + "server='a.b'\ntsig={name='a', secret={file='/x'}, algorithm='hmac-md5'}",
        "challenge.x.tsig.algorithm",
        "'hmac-md5' is not allowed",
        "hmac-sha",
    ),
    (PROPAGATION + "check='auth'", "challenge.x.propagation.check", "not allowed", ""),
    (PROPAGATION + "check='none'", "challenge.x.propagation.wait", "is missing", 'wait = "60s"'),
    (PROPAGATION + "wait='1m'", "challenge.x.propagation.wait", 'check = "none" only', "timeout"),
    (PROPAGATION + "timeout='7h'", "challenge.x.propagation.timeout", "1s to 6h", ""),
    (PROPAGATION + "check='resolvers'", "challenge.x.propagation.resolvers", "is missing", "whom to ask"),
    (PROPAGATION + "resolvers=['a.b']", "challenge.x.propagation.resolvers[0]", "an IP address", ""),
    (PROPAGATION + "unreachable='no'", "challenge.x.propagation.unreachable", "not allowed", "require"),
    # hooks
    ("[hook.own]", "hook.own.run", "is missing", 'run = "/path/to/program"'),
    (
        "[hook.own]\nrun = ['systemctl', 'reload']",
        *(
            "hook.own.run",
            "'systemctl' is no path, and a shipped hook takes no arguments",
            "/usr/bin/systemctl",
        ),
    ),
    ("[hook.own]\nrun = []", "hook.own.run", "is empty", "name a program"),
    ("[hook.own]\nrun = 'ngin'", "hook.own.run", "no hook 'ngin' is shipped", "did you mean 'nginx'"),
    ("[hook.nginx]\nconvention='certbot'", "hook.nginx.convention", "does not speak", "take"),
    ("[hook.x]\nrun='/x'\nevents=['test']", "hook.x.events", "must have deploy", ""),
    ("[hook.x]\nrun='/x'\nevents=['tets']", "hook.x.events[0]", "'tets' is not allowed", "'test'"),
    (
        "[hook.x]\nrun='/x'\nconvention='certbot'\nevents=['test']",
        "hook.x.events",
        "has no test",
        "deploy, pre, post",
    ),
    ("[hook.x]\nrun='/x'\nevents=['pre', 'test']", "hook.x.events", "must have deploy", ""),
    ("[hook.x]\nrun='/x'\nevents=[]", "hook.x.events", "is empty", "take it out"),
    ("[hook.nginx]\nevents=['deploy', 'post']", "hook.nginx.events", "nothing to do at post", "run ="),
    ("[hook.x]\nrun='/usr/'", "hook.x.run", "/usr is a directory", 'convention = "certbot"'),
    ("[hook.x]\nrun='/x'\ntimeout='2h'", "hook.x.timeout", "1s to 1h", ""),
    ("[hook.x]\nrun='/x'\nenv={'a b'='c'}", 'hook.x.env."a b"', "not a variable's name", ""),
    ("[hook.x]\nrun='/x'\nenv={X={file='/a', env='B'}}", "hook.x.env.X", "exactly one of file, env", ""),
    ("[hook.x]\nrun='/x'\nenv={X={file='a'}}", "hook.x.env.X.file", "absolute", ""),
    ("[hook.x]\nrun='/x'\nenv={RENEWER_X='c'}", "hook.x.env.RENEWER_X", "kept for", ""),
    ("[hook.x]\nrun='/x'\nenv={X='\\u0000'}".replace("'\\u0000'", '"\\u0000"'), "hook.x.env.X", "NUL", ""),
    # names of tables
    ("[hook.'a/b']\nrun='/x'", 'hook."a/b"', "is no good name", "call it 'a-b'"),
    ("[certificate.WWW]\nnames=['a.b']", "certificate.WWW", "is no good name", "call it 'www'"),
    ("[certificate.'..']\nnames=['a.b']", 'certificate.".."', "is no good name", "call it 'www'"),
]

CERTIFICATE_CASES = [
    ("", "names", "is missing", 'names = ["example.org"]'),
    ("nmaes = ['a.b']", "nmaes", "is not a known key", "'names'"),
    ("names = 'a.b'", "names", "must be a list, not text", "[ ]"),
    ("names = []", "names", "is empty", "example.org"),
    ("names = ['a.b', 'a_.-']", "names[1]", "not a host name", ""),
    ("names = ['a.b', 'A.b.']", "names[1]", "'a.b' is there twice", "take one"),
    ("names = ['*.192.0.2.1']", "names[0]", "neither a host name nor a valid IP", ""),
    ("names = ['a.b', '*.a.b']", "names[1]", "cannot be proved by http-01", "dns-01"),
    (f"names = ['a.b', '10.0.0.1']\nchallenge = {RFC2136}", "names[1]", "proved by dns-01", "http-01"),
    ("names = ['*.a.b']\nchallenges = {'*.a.b' = {type='http-01', webroot='/x'}}", "names[0]", "http-01", ""),
    (f"names = {[f'{n}.example' for n in range(101)]}", "names", "101 names", "several certificates"),
    ("names = ['a.b']\nauthority = 'gogle'", "authority", "no authority 'gogle'", "'google'"),
    ("names = ['a.b']\nauthority='google'\nauthorities=['google']", "authority", "beside authorities", ""),
    ("names = ['a.b']\nauthorities = ['google', 'google']", "authorities[1]", "twice", "take one"),
    ("names = ['a.b']\nauthorities = []", "authorities", "is empty", "name at least one"),
    ("names = ['a.b']\nauthorities = ['google', 'x']", "authorities[1]", "no authority 'x'", "known here"),
    ("names = ['a.b']\nchallenge = 'web'", "challenge", "there is no challenge 'web'", "[challenge.web]"),
    ("names = ['a.b']\nchallenge = 1", "challenge", "text in quotes or a table or a list", ""),
    ("names = ['a.b']\nchallenge = []", "challenge", "is empty", "at least one"),
    ("names = ['a.b']\nchallenge = ['web']", "challenge[0]", "there is no challenge 'web'", ""),
    (
        "names = ['*.a.b']\nchallenge = [{type='http-01',webroot='/'}, {type='tls-alpn-01',listen='[::]:1'}]",
        "names[0]",
        "cannot be proved by http-01 or tls-alpn-01",
        "dns-01",
    ),
    (
        "names = ['192.0.2.7']\nchallenge = {type='dns-persist-01', experimental=true}",
        "names[0]",
        "cannot be proved by dns-persist-01",
        "http-01",
    ),
    (
        "names = ['a.b']\nchallenge = [{type='http-01', webroot='/x'}, {type='http-01', webroot='/x'}]",
        "challenge[1]",
        "is there twice",
        "",
    ),
    ("names = ['a.b']\nchallenge = {type='http-01'}", "challenge", "needs either", ""),
    (
        "names = ['a.b']\nchallenge = {type='http-01', webrot='/x'}",
        "challenge.webrot",
        "not a known",
        "webroot",
    ),
    ("names = ['a.b']\nchallenges = {'b.b' = 'web'}", 'challenges."b.b"', "not one of this", "'a.b'"),
    ("names = ['a.b']\nchallenges = {'a.b' = 'web'}", 'challenges."a.b"', "no challenge 'web'", ""),
    ("names = ['a.b']\nkey = 'rsa2048'", "key", "not allowed here", "'rsa-2048'"),
    ("names = ['a.b']\nkey = 1", "key", "must be text", "one of: ecdsa-p256"),
    ("names = ['a.b']\nreuse_key = 'yes'", "reuse_key", "true or false, without quotes", ""),
    ("names = ['a.b']\nkey_mode = '0644'", "key_mode", "at most 0640", ""),
    ("names = ['a.b']\nkey_mode = '0040'", "key_mode", "keep the owner from reading", ""),
    ("names = ['a.b']\nkey_mode = 'rw'", "key_mode", "not a file mode", ""),
    ("names = ['a.b']\nrenew_before = '1m'", "renew_before", "1h to 365d", ""),
    ("names = ['a.b']\ndeploy_window = 'soon'", "deploy_window", "is no window", ""),
    ("names = ['a.b']\ndeploy_window = ['02:00-04:00', 'soon']", "deploy_window[1]", "is no window", ""),
    ("names = ['a.b']\nhooks = ['ngnix']", "hooks[0]", "there is no hook 'ngnix'", "'nginx'"),
    ("names = ['a.b']\nhooks = ['nginx', 'nginx']", "hooks[1]", "twice", ""),
    ("names = ['a.b']\nendpoints = ['b.b']", "endpoints[0]", "not one of this certificate's", ""),
    ("names = ['a.b']\nendpoints = ['a.b', 'a.b:0']", "endpoints[1]", "no valid port", ""),
    ("names = ['a.b']\nendpoints = ['[::1']", "endpoints[0]", "IPv6 in brackets", ""),
    ("names = ['a.b']\nendpoints = ['*.a.b']", "endpoints[0]", "no host that can be asked", ""),
    ("names = ['a.b']\nendpoints = [{port = 1}]", "endpoints[0]", "needs host or server_name", ""),
    ("names = ['a.b']\nendpoints = [{host='a.b', port=0}]", "endpoints[0]", "0 is not a port", ""),
    (
        "names = ['a.b']\nendpoints = [{host='a.b', starttls='smpt'}]",
        "endpoints[0].starttls",
        "not",
        "smtp",
    ),
    ("names = ['a.b']\ncopies = [{}]", "copies[0]", "names no file", ""),
    ("names = ['a.b']\ncopies = [{key='x'}]", "copies[0].key", "absolute path", ""),
    ("names = ['a.b']\ncopies = [{key='/x', cert='/x'}]", "copies[0].cert", "is written by", "another"),
    ("names = ['a.b']\ncopies = [{key='/var/lib/renewer/k'}]", "copies[0].key", "inside the agent's", ""),
    ("names = ['a.b']\ncopies = [{key='/x', mode='0644'}]", "copies[0].mode", "at most 0640", ""),
    ("names = ['a.b']\ncopies = [{cert='/x', mode='0666'}]", "copies[0].mode", "at most 0644", ""),
    ("names = ['a.b']\ncopies = [{cert='/x', owner='a b'}]", "copies[0].owner", "not a user", ""),
    ("names = ['a.b']\ncopies = [{pkcs12='/x'}]", "copies[0].password", "is missing: pkcs12", "file"),
    ("names = ['a.b']\ncopies = [{jks='/x', pkcs12='/y'}]", "copies[0].password", "pkcs12 and jks", "file"),
    ("names = ['a.b']\ncopies = [{key='/x', password={env='P'}}]", "copies[0].password", "nothing", "jks"),
    ("names = ['a.b']\ncopies = [{jks='/x', password={}}]", "copies[0].password", "exactly one of", ""),
    (
        "names = ['a.b']\ncopies = [{pkcs12='/x', password={file='p'}}]",
        "copies[0].password.file",
        "absolute path",
        "",
    ),
    (
        "names = ['a.b']\ncopies = [{pkcs12='/x', mode='0644', password={env='P'}}]",
        "copies[0].mode",
        "too much for a key",
        "",
    ),
    ("names = ['a.b']\ncopies = [{key_der='/x', mode='0644'}]", "copies[0].mode", "for a key", ""),
    ("names = ['a.b']\nhosts = ['a b']", "hosts[0]", "not a host name", ""),
]


@pytest.mark.parametrize(("text", "path", "said", "hint"), CASES)
def test_fault(faults: Faulty, text: str, path: str, said: str, hint: str) -> None:
    """Each single fault is the only one told, at its place, with what to do."""
    (fault,) = faults(HEAD + text if text.startswith("[certificate.") else text)
    assert path == fault.path
    assert said in fault.text
    assert hint in fault.hint
    assert fault.line is not None


@pytest.mark.parametrize(("text", "path", "said", "hint"), CERTIFICATE_CASES)
def test_fault_of_a_certificate(faults: Faulty, text: str, path: str, said: str, hint: str) -> None:
    """The same for each key of a certificate; what merely follows from the fault is not told."""
    (fault,) = faults(f"{HEAD}[certificate.www]\n{text}\n")
    assert f"certificate.www.{path}" == fault.path
    assert said in fault.text
    assert hint in fault.hint
    assert fault.line is not None


@pytest.mark.parametrize(
    ("text", "path", "line"),
    [
        (HEAD.replace("agree_terms = true\n", "") + WWW, "defaults.agree_terms", 3),
        (
            HEAD + "[authority.letsencrypt]\nagree_terms = false\n" + WWW,
            "authority.letsencrypt.agree_terms",
            8,
        ),
    ],
)
def test_terms_must_be_agreed_to(faults: Faulty, text: str, path: str, line: int) -> None:
    """Authorities in use want their terms agreed to (RFC 8555 §7.3); the hint says where to say so."""
    (fault,) = faults(text)
    assert (fault.path, fault.line) == (path, line)
    assert "agree_terms = true in [defaults] or [authority.letsencrypt]" in fault.hint


def test_unused_authorities_need_no_agreement(write: Write) -> None:
    """Terms of an authority that no certificate names are nobody's business."""
    load(str(write("[authority.google]\n")))


def test_a_fault_of_the_defaults_is_told_once_and_there(faults: Faulty) -> None:
    """What is wrong in [defaults] is not the fault of each certificate."""
    (fault,) = faults(HEAD + 'hooks = ["ngnix"]\n' + WWW + '[certificate.b]\nnames = ["b.example"]\n')
    assert (fault.path, fault.line) == ("defaults.hooks[0]", 7)


def test_two_certificates_with_one_copy(faults: Faulty) -> None:
    """Two writers of one file would fight for ever; both are named."""
    copy = 'copies = [{ key = "/etc/x" }]\n'
    (fault,) = faults(HEAD + WWW + copy + '[certificate.b]\nnames = ["b.example"]\n' + copy)
    assert fault.path == "certificate.b.copies[0].key"
    assert "certificate.www.copies[0].key" in fault.text
    (fault,) = faults(HEAD + copy + WWW + '[certificate.b]\nnames = ["b.example"]\n')
    assert fault.path == "defaults.copies[0].key"


def test_all_faults_at_once_by_line(faults: Faulty) -> None:
    """Everything wrong is told in one go, in the order of the file, arrays and tables by their own lines."""
    found = faults(
        '[agent]\nworkers = "8"\n'
        "[certificate.www]\n"
        "names = [\n"
        '  "example.org", # a ] in a comment\n'
        '  "a b",\n'
        '  "c d", "e f"]\n'
        "# challenge = nothing\n"
        'hooks = ["nope"]\n'
        "[[certificate.www.copies]]\nkey = 1\n"
    )
    told = [(fault.path, fault.line) for fault in found]
    assert told == [
        ("agent.workers", 2),
        ("certificate.www.authority", 3),
        ("certificate.www.challenge", 3),
        ("certificate.www.names[1]", 6),
        ("certificate.www.names[2]", 7),
        ("certificate.www.names[3]", 7),
        ("certificate.www.hooks[0]", 9),
        ("certificate.www.copies[0].key", 11),
    ]


def test_no_secret_is_ever_repeated(faults: Faulty) -> None:
    """A value that may be a secret is not echoed by the fault that refuses it."""
    text = (
        '[agent]\nledger = "postgresql://u:hunter2@db/x"\n'
        '[authority.google]\nproxy = "http://u:hunter2@p"\naccount_key = "hunter2@x"\n'
        '[authority.google.eab]\nkid = "x"\nhmac = "hunter2"\n'
    )
    assert "hunter2" not in "".join(f"{fault!r}{fault.hint}" for fault in faults(text))


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("a = \n", 1, "is not TOML: invalid value"),
        ("[agent]\nstate = /x\n", 2, "is not TOML"),
        ("[agent]\n[agent]\n", 2, "cannot declare"),
        ("x = [\n\n", 3, "is not TOML"),
        ("x = " + "[" * 5000, None, "nested far too deep"),
    ],
)
def test_broken_toml(faults: Faulty, text: str, line: int | None, said: str) -> None:
    """Broken TOML is told with its line, and nothing else is said about the file."""
    (fault,) = faults(text)
    assert fault.line == line
    assert said in fault.text.lower() or said in fault.text


def test_faults_of_included_files(write: Write, tmp_path: Path) -> None:
    """Faults of included files have their file and line; the main file's come first."""
    write("[agent]\n[certificate.www]\nnames = ['x.example']\n[hook.x]\nrn = '/x'\n", "conf.d/a.toml")
    write("x = [", "conf.d/b.toml")
    write("[certificate.c]\nnames = ['c d']\n", "conf.d/c.toml")
    main = write('include = ["conf.d/*.toml", "none/*.toml", "none.toml", ""]\n' + HEAD + WWW)
    with pytest.raises(ConfigError) as refusal:
        load(str(main))
    told = [
        (fault.file.removeprefix(f"{tmp_path}/"), fault.line, fault.path) for fault in refusal.value.faults
    ]
    assert told == [
        ("config.toml", 1, "include[1]"),
        ("config.toml", 1, "include[3]"),
        ("conf.d/a.toml", 1, "agent"),
        ("conf.d/a.toml", 2, "certificate.www"),
        ("conf.d/a.toml", 5, "hook.x.rn"),
        ("conf.d/b.toml", 1, ""),
        ("conf.d/c.toml", 2, "certificate.c.names[0]"),
        ("none.toml", None, ""),
    ]


@pytest.mark.parametrize(
    ("text", "path", "said"),
    [
        ("[authority.google]\nprofile = []\n", "authority.google.profile", "is empty"),
        ('[authority.google]\nprofile = ["a", "a"]\n', "authority.google.profile[1]", "there twice"),
        ('[agent]\nproxy = "http://u:p@proxy:1"\n', "agent.proxy", "holds a user or a password"),
        ('[agent]\nproxy = "socks5://proxy:1"\n', "agent.proxy", "begins with http"),
        (
            '[challenge.x]\ntype = "http-01"\nwebroot = "/w"\nconvention = "certbot"\n',
            "challenge.x.convention",
            "goes with script only",
        ),
        (
            '[challenge.x]\ntype = "http-01"\nscript = ["/s"]\ncleanup = ["/c"]\n',
            "challenge.x.cleanup",
            "goes with convention",
        ),
        (
            '[challenge.x]\ntype = "http-01"\nscript = ["/s"]\nconvention = "certbot"\ncleanup = ["c"]\n',
            "challenge.x.cleanup",
            "absolute path",
        ),
    ],
)
def test_what_was_carried_over_wrongly(faults: Faulty, text: str, path: str, said: str) -> None:
    """Profiles, proxies and certbot's scripts: each fault has its place and its words."""
    (fault,) = faults(text)
    assert (fault.path, said in f"{fault.text} {fault.hint}") == (path, True)


COPIES = HEAD + WWW + "[[certificate.www.copies]]\n"


@pytest.mark.parametrize(
    ("text", "key", "said"),
    [
        ('pkcs12 = "/x"\npassword = "hunter2"\n', "password", "must not stand here"),
        ('jks = "/x"\npassword = ""\n', "password", "keytool writes no jks without one"),
        ('pkcs12 = "/x"\n', "password", "is missing"),
        ('key = "/x"\npassword = ""\n', "password", "seals nothing here"),
        ('key = "/x"\nalias = "a"\n', "alias", "names nothing here"),
        ('key = "/x"\nencryption = "legacy"\n', "encryption", "encrypts nothing here"),
        (
            'jks = "/x"\npassword = { env = "P" }\nencryption = "legacy"\n',
            "encryption",
            "encrypts nothing here",
        ),
        ('jks = "/x"\npassword = { env = "P" }\nalias = "A"\n', "alias", "has capitals"),
        ('pkcs12 = "/x"\npassword = ""\nalias = ""\n', "alias", "1 to 64 printable"),
        ('pkcs12 = "/x"\npassword = ""\nencryption = "rc2"\n', "encryption", "legacy"),
    ],
)
def test_keystores(faults: Faulty, text: str, key: str, said: str) -> None:
    """A password never stands in the configuration, but that there is none may."""
    (fault,) = faults(COPIES + text)
    assert (fault.path, said in f"{fault.text} {fault.hint}") == (f"certificate.www.copies[0].{key}", True)
    assert "hunter2" not in f"{fault!r}{fault.hint}"


@pytest.mark.parametrize("part", ["key", "key_der", "combined", "pkcs12"])
def test_a_key_in_place_where_others_may_write(faults: Faulty, tmp_path: Path, part: str) -> None:
    """Refused before anything is done."""
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    rest = "in_place = true\n" + ('password = ""\n' if part == "pkcs12" else "")
    (fault,) = faults(COPIES + f'{part} = "{shared}/x"\n{rest}')
    assert fault.path == "certificate.www.copies[0].in_place"
    assert "which others could replace" in fault.text


def test_in_place_without_danger(write: Write, tmp_path: Path) -> None:
    """A certificate wherever it may be, a key where nobody else may write."""
    own, shared = tmp_path / "own", tmp_path / "shared"
    for one, mode in ((own, 0o755), (shared, 0o777)):
        one.mkdir()
        one.chmod(mode)
    first = f'key = "{own}/x"\nin_place = true\n'
    second = f'[[certificate.www.copies]]\nfullchain = "{shared}/x"\nin_place = true\n'
    config = load(str(write(COPIES + first + second)))
    assert [copy.in_place for copy in config.certificates["www"].copies] == [True, True]

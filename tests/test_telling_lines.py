"""Which line of a program's output is shown: the one that says why."""

import pytest

from renewer.proc import last_telling_line

OUTPUTS = {
    "apache": (
        (
            "AH00526: Syntax error on line 5 of /etc/apache2/sites-enabled/www.conf:\n"
            "Invalid command 'SSLCertificateFil', perhaps misspelled or defined by a module not included\n"
            "Action '-t' failed.\n"
        ),
        (
            "AH00526: Syntax error on line 5 of /etc/apache2/sites-enabled/www.conf: "
            "Invalid command 'SSLCertificateFil', perhaps misspelled or defined by a module not included"
        ),
    ),
    "nginx": (
        (
            'nginx: [emerg] cannot load certificate "/x": No such file\n'
            "nginx: configuration file /etc/nginx/nginx.conf test failed\n"
        ),
        'nginx: [emerg] cannot load certificate "/x": No such file',
    ),
    "postgresql": (
        (
            '2026-11-27 20:51:11 UTC [7] FATAL:  private key file "/x.key" has group or world access\n'
            "error: PostgreSQL in /srv/pg: its setting ssl cannot be read\n"
        ),
        '2026-11-27 20:51:11 UTC [7] FATAL:  private key file "/x.key" has group or world access',
    ),
    "postgresql, its config": (
        (
            'LOG:  syntax error in file "/etc/postgresql.conf" line 3, near token "on"\n'
            'FATAL:  configuration file "/etc/postgresql.conf" contains errors\n'
            "error: PostgreSQL in /srv/pg: its setting ssl cannot be read\n"
        ),
        'LOG:  syntax error in file "/etc/postgresql.conf" line 3, near token "on"',
    ),
    "postgresql, a setting that it does not know": (
        (
            '[7] LOG:  unrecognized configuration parameter "ssl_cret_file" in file "/etc/pg.conf" line 9\n'
            '[7] FATAL:  configuration file "/etc/pg.conf" contains errors\n'
            "error: PostgreSQL in /srv/pg: its setting ssl cannot be read\n"
        ),
        '[7] LOG:  unrecognized configuration parameter "ssl_cret_file" in file "/etc/pg.conf" line 9',
    ),
    "postgresql, a number": (
        (
            'LOG:  99999 is outside the valid range for parameter "port" (1 .. 65535)\n'
            'FATAL:  configuration file "/etc/pg.conf" contains errors\n'
            "error: PostgreSQL in /srv/pg: its setting ssl cannot be read\n"
        ),
        'LOG:  99999 is outside the valid range for parameter "port" (1 .. 65535)',
    ),
    "ssh": (
        (
            "No ED25519 host key is known for mx.example.org and you have requested strict checking.\n"
            "Host key verification failed.\n"
            "error: mx.example.org (exit code 255)\n"
        ),
        "Host key verification failed.",
    ),
    "vsftpd": (
        "500 OOPS: unrecognised variable in config file: foo\n",
        "500 OOPS: unrecognised variable in config file: foo",
    ),
    "systemctl": (
        "Failed to reload nginx.service: Access denied\nSee system logs for details.\n",
        "Failed to reload nginx.service: Access denied",
    ),
    "haproxy": (
        (
            "[ALERT] (1) : config : parsing [/x.cfg:2] : unknown keyword 'bin'\n"
            "[ALERT] (1) : config : Error(s) found in configuration file : /x.cfg\n"
            "[ALERT] (1) : config : Fatal errors found in configuration.\n"
        ),
        "[ALERT] (1) : config : parsing [/x.cfg:2] : unknown keyword 'bin'",
    ),
    "only a sum": ("error: mx (exit code 3)\n", "error: mx (exit code 3)"),
    "no word of ours": ("all went well\nbye\n", "bye"),
    "nothing": ("\n \n", ""),
}


@pytest.mark.parametrize("who", OUTPUTS)
def test_the_line_that_says_why(who: str) -> None:
    """Summaries give way to the cause before them, and a place that ends in a colon to its reason."""
    output, line = OUTPUTS[who]
    assert last_telling_line(output) == line

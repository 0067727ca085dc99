"""The wall between rights and strangers: who has sockets at hand, and what of this host who speaks touches.

What stands in the architecture test is about rooms; here it is about what the system is asked for.
"""

from tests.house.code import ROOT, calls, imports, modules


def test_who_asks_name_servers_touches_nothing_of_this_host() -> None:
    """No file, environment or program: what is needed of them comes through the door."""
    wrong = [
        f"{module.path}:{line} calls {owner}.{name}()"
        for module in modules()
        if module.path.startswith(
            (
                "renewer/network/dns/",
                "renewer/network/providers/",
                "renewer/network/verify/",
                "renewer/network/channels/",
            )
        )
        and "lexicon" not in module.path
        for owner, name, line in calls(module)
        if (owner, name) == ("", "open") or (owner == "os" and name not in ("dup", "close"))
    ]
    assert wrong == []


SPEAKING = (
    "socket",
    "ssl",
    "http.client",
    "smtplib",
    "requests",
    "dns",
    "urllib.request",
    "urllib3",
    "asyncio",
)
BINDING = {  # what has them at hand beside `network/`, and why that is no stranger's
    "renewer/logs/daemons.py": "journald's and syslog's sockets are this host's (AF_UNIX)",
    "renewer/cli/discover.py": "this host's own name: the kernel has it",
    "renewer/provisioning/sockets.py": "binds literal addresses, takes what systemd hands over",
    "renewer/workers.py": "a pair of Unix sockets to a process of ours",
}
RESOLVING = frozenset({"create_connection", "getaddrinfo", "gethostbyname", "gethostbyaddr", "getnameinfo"})


def test_nothing_that_speaks_to_strangers_is_imported_beside_the_wall() -> None:
    """Outside `network/` no module has sockets, TLS, HTTP, SMTP or DNS at hand, but with a reason."""
    found = {
        (module.path, target)
        for module in modules()
        if module.room != "network"
        for target, _, _ in imports(module)
        if target in SPEAKING or target.startswith(tuple(f"{one}." for one in SPEAKING))
    }
    assert sorted(path for path, _ in found if path not in BINDING) == []
    assert {target for _, target in found} <= {"socket", "socket.socket"}
    assert {path for path, _ in found} == set(BINDING)


def test_main_connects_to_nobody_and_resolves_nothing() -> None:
    """What binds a port takes literal addresses; nobody else has a call that resolves."""
    wrong = [
        f"{module.path}:{line} calls {name}()"
        for module in modules()
        if module.room != "network"
        for _, name, line in calls(module)
        if name in RESOLVING
    ]
    assert [one for one in wrong if not one.startswith("renewer/provisioning/sockets.py:")] == []
    binding = (ROOT / "renewer" / "provisioning" / "sockets.py").read_text("utf-8")
    assert binding.count("getaddrinfo(") == 1
    assert "AI_NUMERICHOST" in binding

"""The hook for Kubernetes: a real kubectl, and a stand-in for the API server that keeps secrets."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from renewer.hooks import HookResult, HookVerdict
from renewer.model.desired import HookEvent
from tests.hooks.alone import DEPLOY, ROLLBACK, TEST, Shelf
from tests.hooks.apiserver import ApiServer

EVENTS = [TEST, DEPLOY, ROLLBACK]


class Cluster:
    """Two certificates here, and a cluster to bring them to."""

    def __init__(self, directory: Path) -> None:
        """Start the API server."""
        self.shelf = Shelf(directory)
        self.shelf.put("www")
        self.shelf.put("mail")
        self.api = ApiServer(directory / "api").start()
        self.home = directory / "home"
        self.home.mkdir()

    def call(self, event: HookEvent, *names: str, **env: str) -> HookResult:
        """Call the hook with this cluster's kubeconfig; kubectl's cache is the test's own."""
        env = {"KUBECONFIG": str(self.api.kubeconfig), "HOME": str(self.home)} | env
        return self.shelf.call("kubernetes", event, names or ["www"], **env)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """A cluster without secrets."""
    cluster = Cluster(tmp_path)
    yield cluster
    cluster.api.stop()


@pytest.mark.parametrize("event", [DEPLOY, ROLLBACK])
def test_secrets_are_made_and_updated(cluster: Cluster, event: HookEvent) -> None:
    """Each certificate becomes a TLS secret of its name; another version replaces its pair."""
    shelf, api = cluster.shelf, cluster.api
    for _ in range(2):
        assert cluster.call(event, "www", "mail").verdict is HookVerdict.DONE
        for name in ("www", "mail"):
            files = shelf.files(name)
            wanted = {"tls.crt": files["fullchain.pem"], "tls.key": files["privkey.pem"]}
            assert api.secret(name) == wanted
        shelf.put("www")


def test_what_others_put_on_a_secret_stays(cluster: Cluster) -> None:
    """Labels of others survive, and no second copy of the key is left in an annotation."""
    cluster.call(DEPLOY)
    secret: dict[str, Any] = cluster.api.secrets["web", "www"]
    secret["metadata"]["labels"] = {"team": "shop"}
    cluster.shelf.put("www")

    assert cluster.call(DEPLOY).verdict is HookVerdict.DONE

    after = cluster.api.secrets["web", "www"]
    assert after["metadata"]["labels"] == {"team": "shop"}
    assert "last-applied" not in json.dumps(after)


def test_testing_is_a_dry_run_of_the_server(cluster: Cluster) -> None:
    """`test` asks the server for the very thing, which keeps nothing of it."""
    assert cluster.call(TEST, "www", "mail").verdict is HookVerdict.DONE

    asked = [path for method, path in cluster.api.seen if method == "PATCH"]
    assert len(asked) == 2
    wanted = ("dryRun=All", "fieldManager=renewer", "force=true")
    assert all(word in path for path in asked for word in wanted)
    assert cluster.api.secrets == {}


def test_namespace_context_and_name(cluster: Cluster) -> None:
    """KUBE_SECRET, KUBE_NAMESPACE and KUBE_CONTEXT say which; what is not ours is refused by `test`."""
    env = {"KUBE_SECRET": "shop-tls", "KUBE_NAMESPACE": "web", "KUBE_CONTEXT": "here"}
    assert cluster.call(DEPLOY, **env).verdict is HookVerdict.DONE
    assert list(cluster.api.secrets) == [("web", "shop-tls")]

    result = cluster.call(TEST, KUBE_NAMESPACE="kube-system")
    assert (result.verdict, result.code) == (HookVerdict.FAILED, 1)
    assert 'cannot patch in the namespace "kube-system"' in result.output
    result = cluster.call(TEST, KUBE_CONTEXT="elsewhere")
    assert (result.verdict, result.code) == (HookVerdict.FAILED, 1)
    assert 'context "elsewhere" does not exist' in result.output


def test_a_secret_of_another_type(cluster: Cluster) -> None:
    """What `deploy` could not change is noticed by `test`."""
    cluster.call(DEPLOY)
    cluster.api.secrets["web", "www"]["type"] = "Opaque"

    result = cluster.call(TEST)

    assert (result.verdict, result.code) == (HookVerdict.FAILED, 1)
    assert "field is immutable" in result.output


def test_one_secret_cannot_hold_two_certificates(cluster: Cluster) -> None:
    """KUBE_SECRET with a batch of several certificates is refused before anything is done."""
    result = cluster.call(DEPLOY, "www", "mail", KUBE_SECRET="shop-tls")

    assert (result.verdict, result.code) == (HookVerdict.FAILED, 1)
    assert "write a table for each" in (result.error or "")
    assert cluster.api.seen == []


def test_a_broken_pair_is_refused_here(cluster: Cluster) -> None:
    """A key that does not fit never reaches the server; the secret keeps the pair it had."""
    cluster.call(DEPLOY)
    before = cluster.api.secret("www")
    live = cluster.shelf.put("www")
    (live / "privkey.pem").write_bytes(cluster.shelf.files("mail")["privkey.pem"])

    for event in (TEST, DEPLOY):
        result = cluster.call(event)
        assert (result.verdict, result.code) == (HookVerdict.FAILED, 1)
        assert "does not match" in result.output
    assert cluster.api.secret("www") == before


@pytest.mark.parametrize("event", EVENTS)
def test_a_cluster_that_does_not_answer_is_later(cluster: Cluster, event: HookEvent) -> None:
    """Nobody listens: 75, so that nothing is turned back here for it."""
    cluster.api.stop()

    result = cluster.call(event)

    assert (result.verdict, result.code) == (HookVerdict.LATER, 75)
    assert "refused" in (result.error or "")


def test_a_stranger_is_refused(cluster: Cluster) -> None:
    """A token that the server does not know is a failure, not something to wait for."""
    cluster.api.write_kubeconfig(token="who?")

    result = cluster.call(TEST)

    assert (result.verdict, result.code) == (HookVerdict.FAILED, 1)
    words = ("Unauthorized", "logged in", "provide credentials")  # of older and newer kubectls
    assert any(word in result.output for word in words)


def test_the_key_is_never_an_argument(cluster: Cluster, tmp_path: Path) -> None:
    """Whatever kubectl is called with, the key's text is not among it: arguments are everybody's to read."""
    note = tmp_path / "argv"
    wrapper = tmp_path / "kubectl"
    wrapper.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >>{note}\nexec kubectl "$@"\n')
    wrapper.chmod(0o755)

    assert cluster.call(DEPLOY, KUBECTL=str(wrapper)).verdict is HookVerdict.DONE

    key = cluster.shelf.files()["privkey.pem"].decode().splitlines()[1]
    assert "--server-side" in note.read_text()
    assert key not in note.read_text()


def test_no_kubectl_at_all(cluster: Cluster) -> None:
    """A missing program is a failure that says what to set."""
    result = cluster.call(TEST, KUBECTL="/no/such/kubectl")

    assert (result.verdict, result.code) == (HookVerdict.FAILED, 1)
    assert "set KUBECTL in the hook's env" in (result.error or "")

"""A stand-in for a Kubernetes API server: keeps secrets, as far as a real kubectl asks for it.

It speaks HTTPS, wants a bearer token, applies on the server's side (also as a dry run) and refuses what the
real one refuses: strangers, a foreign namespace, another type for a secret that exists, other files than a
pair. It keeps no field managers: what is applied replaces `data`.
"""

import base64
import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from tests.servers.certificates import ServerRoot

TOKEN = "let-me-in"
_PROTOBUF = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"


class ApiServer:
    """Listens at a free port of the loopback; `secrets` are what it keeps, `seen` what it was asked."""

    def __init__(self, directory: Path) -> None:
        """Make its certificate and a kubeconfig whose only context is `here`, with the namespace `web`."""
        directory.mkdir(parents=True)
        self.directory = directory
        self.secrets: dict[tuple[str, str], dict[str, Any]] = {}
        self.seen: list[tuple[str, str]] = []
        self.kubeconfig = directory / "kubeconfig"
        self._root = ServerRoot()
        pair = self._root.issue(directory, "127.0.0.1")
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(pair.cert, pair.key)
        self._server: ThreadingHTTPServer | None = None

    def start(self) -> Self:
        """Listen, and write the kubeconfig."""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._server.socket = self._tls.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        self.write_kubeconfig()
        return self

    def write_kubeconfig(self, token: str = TOKEN) -> None:
        """What kubectl is told of it."""
        assert self._server is not None
        cluster = {
            "server": f"https://127.0.0.1:{self._server.server_port}",
            "certificate-authority-data": base64.b64encode(self._root.pem).decode(),
        }
        context = {"cluster": "it", "user": "agent", "namespace": "web"}
        told = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "here",
            "clusters": [{"name": "it", "cluster": cluster}],
            "users": [{"name": "agent", "user": {"token": token}}],
            "contexts": [{"name": "here", "context": context}],
        }
        self.kubeconfig.write_text(json.dumps(told))

    def stop(self) -> None:
        """No longer listen."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def secret(self, name: str, namespace: str = "web") -> dict[str, bytes]:
        """The decoded files of a secret."""
        data = self.secrets[namespace, name]["data"]
        return {key: base64.b64decode(value) for key, value in data.items()}

    # --- what it answers --------------------------------------------------------------------------------

    def apply(self, namespace: str, name: str, query: dict[str, list[str]], body: bytes) -> tuple[int, Any]:
        """Make or change a secret, unless it is a dry run; status and document."""
        given = json.loads(body)
        if namespace != "web":
            text = f'secrets "{name}" is forbidden: User "agent" cannot patch in the namespace "{namespace}"'
            return 403, _status(403, "Forbidden", text)
        before = self.secrets.get((namespace, name))
        if before and before["type"] != given["type"]:
            text = f'Secret "{name}" is invalid: type: Invalid value: "{given["type"]}": field is immutable'
            return 422, _status(422, "Invalid", text)
        if given["type"] != "kubernetes.io/tls" or set(given["data"]) != {"tls.crt", "tls.key"}:
            return 422, _status(422, "Invalid", f'Secret "{name}" is invalid: data: Required value')
        metadata = (before or {}).get("metadata", {}) | given["metadata"] | {"namespace": namespace}
        made = (before or {}) | given | {"metadata": metadata | {"uid": "1", "resourceVersion": "2"}}
        if query.get("dryRun") != ["All"]:
            self.secrets[namespace, name] = made
        return 200 if before else 201, made


def _status(code: int, reason: str, text: str) -> dict[str, Any]:
    return {
        "details": {"kind": "Secret", "causes": [{"reason": reason, "message": text}]},
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": text,
        "reason": reason,
        "code": code,
    }


_SECRETS = {
    "name": "secrets",
    "singularName": "secret",
    "namespaced": True,
    "kind": "Secret",
    "verbs": ["create", "get", "patch"],
}
_DOCUMENTS = {
    "/api": {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []},
    "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": []},
    "/api/v1": {"kind": "APIResourceList", "groupVersion": "v1", "resources": [_SECRETS]},
    "/version": {"major": "1", "minor": "30", "gitVersion": "v1.30.0"},
}


def _field(number: int, content: bytes | str) -> bytes:
    """A length-delimited field of a protocol buffer."""
    content = content.encode() if isinstance(content, str) else content
    length, size = b"", len(content)
    while size >= 0x80:
        length += bytes([size & 0x7F | 0x80])
        size >>= 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + content


def _openapi() -> bytes:
    """The page of the API's description that tells kubectl that a secret's patch knows `dryRun`.

    Old kubectls read it as a protocol buffer only. The numbers are those of OpenAPI 2 in gnostic's
    description: Document.paths 8, Paths.path 2, NamedPathItem.name 1 and .value 2, PathItem.patch 8,
    Operation.parameters 8 and .vendor_extension 13, ParametersItem.parameter 1, Parameter.non_body 2,
    NonBodyParameter.query 3, QueryParameterSubSchema.name 4, NamedAny.name 1 and .value 2, Any.yaml 2.
    """
    kind = _field(2, "group: ''\nkind: Secret\nversion: v1\n")
    extension = _field(1, "x-kubernetes-group-version-kind") + _field(2, kind)
    parameter = _field(1, _field(2, _field(3, _field(4, "dryRun"))))
    operation = _field(8, parameter) + _field(13, extension)
    path = _field(1, "/api/v1/namespaces/{namespace}/secrets/{name}") + _field(2, _field(8, operation))
    return _field(1, "2.0") + _field(8, _field(2, path))


def _handler(api: ApiServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            """Describe the API."""
            path = urlsplit(self.path).path
            if path == "/openapi/v2":
                self._answer(200, _openapi(), _PROTOBUF)
            elif path in _DOCUMENTS:
                self._tell(200, _DOCUMENTS[path])
            else:
                self._tell(404, _status(404, "NotFound", f"there is no {path}"))

        def do_PATCH(self) -> None:
            """Apply a secret."""
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers["Content-Length"]))
            words = parts.path.split("/")
            assert words[:4] + words[5:6] == ["", "api", "v1", "namespaces", "secrets"]
            assert self.headers["Content-Type"] == "application/apply-patch+yaml"
            self._tell(*api.apply(words[4], words[6], parse_qs(parts.query), body))

        def _tell(self, code: int, document: Any) -> None:
            if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                code, document = 401, _status(401, "Unauthorized", "Unauthorized")
            self._answer(code, json.dumps(document).encode(), "application/json")

        def _answer(self, code: int, body: bytes, kind: str) -> None:
            api.seen.append((self.command, self.path))
            self.send_response(code)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler

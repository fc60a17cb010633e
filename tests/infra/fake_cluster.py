"""An EKS cluster on loopback: an API server behind TLS that knows objects by their paths, and what AWS tells of it."""

from __future__ import annotations

import base64
import html
import json
import ssl
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

from darkroom.config.runtime_facts import RuntimeFacts, encode_runtime_facts
from tests.infra.loopback_http import QuietHandler
from tests.loopback_tls import certificate_and_key

CLUSTER = "sdoneksStack"
ROLE = "arn:aws:iam::123456789012:role/sdoneksStack-us-east-1-AccessRole"


class FakeCluster:
    """`objects` are by path; `asked` has method, path and who asked; `may_assume`: AWS lets us take the role."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.asked: list[tuple[str, str, str]] = []
        self.may_assume = True
        self.refuses = False
        self.endpoint = ""
        self.certificate = b""

    @property
    def outputs(self) -> dict[str, str]:
        command = f"aws eks update-kubeconfig --name {CLUSTER} --region us-east-1 --role-arn {ROLE}"
        runtimes = [
            RuntimeFacts(name="own", type="sdwebui", queue_url="q", dead_letter_queue_url="d", namespace="sd"),
            RuntimeFacts(name="fixed", type="sdwebui", queue_url="q", dead_letter_queue_url="d"),
        ]
        return {"ClusterName": CLUSTER, "ConfigCommand": command, "Runtimes": encode_runtime_facts(runtimes)}

    def add(self, path: str, ready: bool = True, reason: str = "", **metadata: str) -> None:
        conditions = [{"type": "Ready", "status": str(ready), "reason": "Because", "message": reason}]
        self.objects[path] = {"metadata": {**metadata}, "status": {"conditions": conditions}}


def who(token: str) -> dict[str, str]:
    """What EKS would read out of a token: the cluster that it is for, and whose key signed it."""
    prefix = "Bearer k8s-aws-v1."
    assert token.startswith(prefix)
    text = token.removeprefix(prefix)
    link = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
    query = urllib.parse.parse_qs(urllib.parse.urlparse(link).query)
    assert query["Action"] == ["GetCallerIdentity"]
    assert "x-k8s-aws-id" in query["X-Amz-SignedHeaders"][0]
    return {"key": query["X-Amz-Credential"][0].partition("/")[0], "seconds": query["X-Amz-Expires"][0]}


@contextmanager
def fake_cluster(folder: Path) -> Iterator[tuple[FakeCluster, str]]:
    """The cluster, and the URL at which EKS and STS tell of it."""
    cluster = FakeCluster()

    class ApiServer(QuietHandler):
        def do_GET(self) -> None:  # noqa: N802 - the library's name
            self._answer(lambda found: None)

        def do_PATCH(self) -> None:  # noqa: N802 - the library's name
            assert self.headers["content-type"] == "application/merge-patch+json"
            changes = json.loads(self.rfile.read(int(self.headers["content-length"])))
            self._answer(lambda found: merge_patch(found, changes))

        def _answer(self, change: Any) -> None:
            cluster.asked.append((self.command, self.path, who(self.headers["authorization"])["key"]))
            found = cluster.objects.get(self.path)
            status = 403 if cluster.refuses else 200 if found is not None else 404
            if status == 200:
                change(found)
            say(self, status, found if status == 200 else {"message": "you may not do this"})

    class Aws(QuietHandler):
        def do_GET(self) -> None:  # noqa: N802 - the library's name
            authority = {"data": base64.b64encode(cluster.certificate).decode()}
            facts = {"name": CLUSTER, "endpoint": cluster.endpoint, "certificateAuthority": authority}
            say(self, 200, {"cluster": facts})

        def do_POST(self) -> None:  # noqa: N802 - the library's name
            asked = self.rfile.read(int(self.headers["content-length"])).decode()
            if "Action=DescribeStacks" in asked:
                members = "".join(
                    f"<member><OutputKey>{key}</OutputKey><OutputValue>{html.escape(value)}</OutputValue></member>"
                    for key, value in cluster.outputs.items()
                )
                stack = f"<StackName>{CLUSTER}</StackName><StackStatus>CREATE_COMPLETE</StackStatus>"
                stack += f"<CreationTime>2026-11-25T00:00:00Z</CreationTime><Outputs>{members}</Outputs>"
                result = f"<DescribeStacksResult><Stacks><member>{stack}</member></Stacks></DescribeStacksResult>"
                say_xml(self, 200, f"<DescribeStacksResponse>{result}</DescribeStacksResponse>")
            elif cluster.may_assume:
                inner = (
                    "<AccessKeyId>ADMIN</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>"
                )
                inner += "<Expiration>2099-01-01T00:00:00Z</Expiration>"
                text = f"<AssumeRoleResult><Credentials>{inner}</Credentials></AssumeRoleResult>"
                say_xml(self, 200, f"<AssumeRoleResponse>{text}</AssumeRoleResponse>")
            else:
                say_xml(
                    self,
                    403,
                    "<ErrorResponse><Error><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>",
                )

    with _served(ApiServer, _context(cluster, folder)) as port, _served(Aws, None) as aws:
        cluster.endpoint = f"https://127.0.0.1:{port}"
        yield cluster, f"http://127.0.0.1:{aws}"


def merge_patch(found: dict[str, Any], changes: dict[str, Any]) -> None:
    """RFC 7386."""
    for key, value in changes.items():
        if value is None:
            found.pop(key, None)
        elif isinstance(value, dict):
            merge_patch(found.setdefault(key, {}), value)
        else:
            found[key] = value


def say(handler: QuietHandler, status: int, body: Any) -> None:
    _send(handler, status, "application/json", json.dumps(body))


def say_xml(handler: QuietHandler, status: int, text: str) -> None:
    _send(handler, status, "text/xml", text)


def _send(handler: QuietHandler, status: int, kind: str, text: str) -> None:
    handler.send_response(status)
    handler.send_header("content-type", kind)
    handler.send_header("content-length", str(len(text.encode())))
    handler.end_headers()
    handler.wfile.write(text.encode())


@contextmanager
def _served(handler: type[QuietHandler], context: ssl.SSLContext | None) -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _context(cluster: FakeCluster, folder: Path) -> ssl.SSLContext:
    """A certificate that only the cluster's own authority vouches for, as EKS has it."""
    cluster.certificate, key = certificate_and_key()
    file = folder / "server.pem"
    file.write_bytes(key + cluster.certificate)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context

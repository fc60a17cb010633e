"""What the chart says of pods that are there already: Helm asks an API server, here one that knows little more."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.infra.chart import Chart, kinds, values_for

RUNTIME = "- {name: sdruntime, type: sdwebui}"
THERE = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {
        "name": "sdruntime",
        "labels": {"app.kubernetes.io/managed-by": "Helm"},
        "annotations": {"meta.helm.sh/release-name": "sdruntime", "meta.helm.sh/release-namespace": "sd"},
    },
    "spec": {"replicas": 7},
}
THERE_AT = "/apis/apps/v1/namespaces/sd/deployments/sdruntime"
NOT_FOUND = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}


def discovery(manifests: list[dict[str, Any]]) -> dict[str, Any]:
    """What an API server tells of itself that has the kinds of these manifests."""
    versions: dict[str, list[str]] = {}
    for manifest in manifests:
        versions.setdefault(manifest["apiVersion"], []).append(manifest["kind"])
    groups = [
        {"name": version.split("/")[0], "versions": [{"groupVersion": version, "version": version.split("/")[1]}]}
        for version in versions
        if "/" in version
    ]
    answers: dict[str, Any] = {
        "/version": {"major": "1", "minor": "35", "gitVersion": "v1.35.0"},
        "/api": {"kind": "APIVersions", "versions": ["v1"]},
        "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups},
    }
    for version, names in versions.items():
        resources = [
            {"name": f"{name.lower()}s", "kind": name, "namespaced": name != "PersistentVolume", "verbs": ["get"]}
            for name in sorted(set(names))
        ]
        path = f"/apis/{version}" if "/" in version else f"/api/{version}"
        answers[path] = {"kind": "APIResourceList", "groupVersion": version, "resources": resources}
    return answers


@contextmanager
def api_server(answers: dict[str, Any]) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = answers.get(self.path.partition("?")[0])
            body = json.dumps(found or NOT_FOUND).encode()
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("there", [{}, {THERE_AT: THERE}])
def test_a_deployment_leaves_as_many_pods_as_there_are(chart: Chart, there: dict[str, Any]) -> None:
    """A number from Helm would be set in the middle of work, whether it was looked up or not, and kill busy pods."""
    values = values_for(RUNTIME)
    with api_server({**discovery(chart.render(values)), **there}) as url:
        manifests = chart.render(values, "sdruntime", *SERVER, "--kube-apiserver", url)
    assert "replicas" not in kinds(manifests)["Deployment"]["spec"]


SERVER = ("--dry-run=server", "--disable-openapi-validation", "--kube-token", "any")

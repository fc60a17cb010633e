"""An AWS account on loopback, out of what there is: two emulators, and a front before them for what neither has.

MiniStack, which runs the rest of Darkroom, knows nothing of data volumes, of filters on network interfaces, or of which
instance types there are: for EC2 there is moto's server. Neither has Bottlerocket's parameters, an instance whose agent
takes commands, or quotas: these the front answers itself, in AWS's own protocol. Everything else goes on unchanged.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import boto3
import httpx
import urllib3

from darkroom.settings import AwsSettings
from darkroom.testing.free_port import free_port
from darkroom.testing.loopback_aws import REGION
from tests.infra.loopback_http import QuietHandler, serving

AMI = "ami-0b0771e7000000001"
ENOUGH = 1000.0
_SERVICE = re.compile(r"Credential=[^/]+/[^/]+/[^/]+/([^/]+)/aws4_request")
_READS = ("Get", "List", "Describe", "Head", "Scan", "GET", "HEAD")
_HOP_BY_HOP = ("connection", "content-length", "host", "transfer-encoding")
_STARTED_WITHIN_SECONDS = 60.0


@contextmanager
def moto_server(folder: Path) -> Iterator[str]:
    """Run moto's server for the body of the `with`; gives its URL. It knows none of AWS's own policies."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "moto.server", "--host", "127.0.0.1", "--port", str(port)]
    # Bottlerocket's parameter says which images there are, and reading all that moto has takes longer than a test.
    environment = {**os.environ, "MOTO_EC2_LOAD_DEFAULT_AMIS": "false", "MOTO_IAM_LOAD_MANAGED_POLICIES": "false"}
    with (folder / "moto.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            end = time.monotonic() + _STARTED_WITHIN_SECONDS
            while not _answers(f"{url}/moto-api/data.json"):
                assert process.poll() is None, (folder / "moto.log").read_text()
                assert time.monotonic() < end, "moto did not start"
                time.sleep(0.05)
            yield url
        finally:
            process.terminate()
            process.wait()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2):  # noqa: S310 - ours, on loopback
            return True
    except OSError:
        return False


def _action(headers: dict[str, str], body: bytes) -> str:
    """The operation, in the protocol that sends forms."""
    if not headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return ""
    return parse_qs(body.decode()).get("Action", [""])[0]


class Refusal(Exception):
    """An error that a service answers."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Front:
    """The account's one endpoint. What it answers can be changed by a test at any time.

    `outcome` says how a command ends on an instance: its status and output. `is_silent`: no agent answers. `quotas` are
    by their code. `heard` has every request, in order. Whatever is asked of
    an instance or a snapshot is true at the second time only, because on AWS all of it takes a while.

    While nobody has changed anything, EC2 answers what it answered before: moto takes long to look it up.
    """

    def __init__(self, moto: str, ministack: str | None = None) -> None:
        self._moto = moto
        self._ministack = ministack or moto
        self._http = urllib3.PoolManager(num_pools=2, maxsize=20, timeout=60, retries=False)
        self._ec2 = boto3.client("ec2", region_name=REGION, endpoint_url=moto)
        self._unchanged: dict[bytes, httpx.Response] = {}
        self._changed = {self._moto, self._ministack}
        self._forget()

    def _forget(self) -> None:
        self._asked: dict[str, int] = {}
        self._commands: dict[str, tuple[str, str]] = {}
        self.outcome: Callable[[str], tuple[str, str]] = lambda command: ("Success", "")
        self.is_silent = False
        self.quotas: dict[str, float] = {}
        self.bottlerocket = "1.50.0"
        self.add_on_schema: dict[str, Any] = {"type": "object"}
        self.commands: list[str] = []
        self.heard: list[str] = []

    def reset(self) -> None:
        """Forget everything, and have the emulators forget it, where anything was changed."""
        self._forget()
        for emulator in self._changed:
            path = "/moto-api/reset" if emulator == self._moto else "/_ministack/reset"
            self._send("POST", emulator + path, {}, b"").raise_for_status()
        self._changed.clear()

    def _send(self, method: str, url: str, headers: dict[str, str], body: bytes) -> httpx.Response:
        found = self._http.request(method, url, headers=headers, body=body, redirect=False)
        answer = httpx.Response(found.status, headers=dict(found.headers), content=found.data)
        answer.request = httpx.Request(method, url)
        return answer

    def close(self) -> None:
        """End the connections to the emulators."""
        self._http.clear()

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> httpx.Response:
        """Answer a request, or have it answered."""
        service = _SERVICE.search(headers.get("authorization", ""))
        operation = headers.get("x-amz-target", "").rpartition(".")[2] or _action(headers, body) or method
        self.heard.append(f"{service[1] if service else 'nobody'}.{operation}")
        own = getattr(self, f"_{operation}", None)
        if own is not None and service is not None and service[1] in ("ssm", "servicequotas"):
            try:
                return httpx.Response(200, json=own(json.loads(body)))
            except Refusal as refusal:
                return httpx.Response(400, json={"__type": refusal.code, "message": str(refusal)})
        if service is not None and service[1] == "eks" and path.startswith("/addons/supported-versions"):
            return httpx.Response(200, json=self._add_on_versions(path))
        if service is not None and service[1] == "eks" and path.startswith("/addons/configuration-schemas"):
            return httpx.Response(200, json={"configurationSchema": json.dumps(self.add_on_schema)})
        is_ec2 = service is not None and service[1] == "ec2"
        target = self._moto if is_ec2 else self._ministack
        is_read = operation.startswith(_READS)
        if is_ec2 and body in self._unchanged:
            return self._being_written(body, self._unchanged[body])
        if not is_read:
            self._changed.add(target)
        kept = {name: value for name, value in headers.items() if name not in _HOP_BY_HOP}
        if operation == "CreateInstanceProfile" and self._ministack != self._moto:
            self._changed.add(self._moto)
            self._send(method, self._moto + path, kept, body)  # EC2 has to know it
        if self._moto in self._changed:
            self._unchanged.clear()
        found = self._send(method, target + path, kept, body)
        if is_ec2 and found.is_success and self._moto not in self._changed:
            self._unchanged[body] = found
        return self._being_written(body, found) if is_ec2 else found

    def _is_second(self, what: str) -> bool:
        self._asked[what] = self._asked.get(what, 0) + 1
        return self._asked[what] > 1

    def _being_written(self, body: bytes, found: httpx.Response) -> httpx.Response:
        """A snapshot is pending when it is first looked at."""
        asked = parse_qs(body.decode())
        (snapshot,) = asked.get("SnapshotId.1", [""])
        if asked["Action"] != ["DescribeSnapshots"] or not snapshot or self._is_second(snapshot):
            return found
        text = found.text.replace("<status>completed</status>", "<status>pending</status>")
        return httpx.Response(200, text=text, headers={"content-type": "text/xml"})

    def _is_running(self, instance: str) -> bool:
        pages = self._ec2.describe_instances(Filters=[{"Name": "instance-id", "Values": [instance]}])["Reservations"]
        return any(found["State"]["Name"] == "running" for page in pages for found in page["Instances"])

    def _GetParameter(self, asked: dict[str, Any]) -> dict[str, Any]:  # noqa: N802 - AWS's own name
        name = asked["Name"]
        found = re.fullmatch(r"/aws/service/bottlerocket/aws-k8s-[\d.]+(-nvidia)?/x86_64/latest/(\w+)", name)
        release = re.fullmatch(
            r"/aws/service/eks/optimized-ami/([\d.]+)/amazon-linux-2023/\w+/standard/recommended/release_version", name
        )
        values = {"image_id": AMI, "image_version": f"{self.bottlerocket}-0123abcd"}
        if release is not None:
            value = f"{release[1]}.4-20261101"
        elif found is not None and found[2] in values:
            value = values[found[2]]
        else:
            raise Refusal("ParameterNotFound", f"there is no {name}")
        return {"Parameter": {"Name": name, "Type": "String", "Value": value, "Version": 1}}

    def _add_on_versions(self, path: str) -> dict[str, Any]:
        """Each add-on is offered in two versions; the older one is the one that EKS takes by itself."""
        asked = parse_qs(path.partition("?")[2])
        (name,), (kubernetes,) = asked["addonName"], asked["kubernetesVersion"]

        def version(text: str, is_default: bool) -> dict[str, Any]:
            compatible = [{"clusterVersion": kubernetes, "platformVersions": ["*"], "defaultVersion": is_default}]
            return {"addonVersion": text, "compatibilities": compatible}

        return {"addons": [{"addonName": name, "addonVersions": [version("v9.9.9", False), version("v1.0.0", True)]}]}

    def _DescribeInstanceInformation(self, asked: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        (instance,) = asked["Filters"][0]["Values"]
        is_online = not self.is_silent and self._is_running(instance) and self._is_second(instance)
        return {"InstanceInformationList": [{"InstanceId": instance, "PingStatus": "Online"}] if is_online else []}

    def _SendCommand(self, asked: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        (instance,), (text,) = asked["InstanceIds"], asked["Parameters"]["commands"]
        if asked["DocumentName"] != "AWS-RunShellScript" or not self._is_running(instance):
            raise Refusal("InvalidInstanceId", f"{instance} cannot run {asked['DocumentName']}")
        number = str(uuid.uuid4())
        self.commands.append(text)
        self._commands[number] = (instance, text)
        return {"Command": {"CommandId": number, "Status": "Pending", "DocumentName": asked["DocumentName"]}}

    def _ListCommandInvocations(self, asked: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        number = asked["CommandId"]
        instance, text = self._commands[number]
        assert asked["InstanceId"] == instance
        status, output = self.outcome(text) if self._is_second(number) else ("InProgress", "")
        plugins = [{"Name": "aws:runShellScript", "Status": status, "Output": output}]
        found = {"CommandId": number, "InstanceId": instance, "Status": status, "CommandPlugins": plugins}
        return {"CommandInvocations": [found]}

    def _GetServiceQuota(self, asked: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        code = asked["QuotaCode"]
        quota = {"ServiceCode": asked["ServiceCode"], "QuotaCode": code, "Value": self.quotas.get(code, ENOUGH)}
        return {"Quota": quota}


@contextmanager
def emulated_account(moto: str, ministack: str | None = None) -> Iterator[tuple[Front, AwsSettings]]:
    """Put a front before the emulators for the body of the `with`."""
    front = Front(moto, ministack)

    class Handler(QuietHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # else every answer waits 40 ms for an acknowledgement

        def _any(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            answer = front.answer(self.command, self.path, headers, body)
            self.send_response(answer.status_code)
            for name, value in answer.headers.items():
                if name not in (*_HOP_BY_HOP, "content-encoding"):
                    self.send_header(name, value)
            described = answer.headers.get("content-length") if self.command == "HEAD" else None
            self.send_header("content-length", described or str(len(answer.content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer.content)

        do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = do_HEAD = _any  # noqa: N815 - the library's names

    try:
        with serving(Handler) as url:
            yield front, AwsSettings(region=REGION, endpoint_url=url)
    finally:
        front.close()

"""The cluster's API server, asked without kubectl: with a token that is a signed question to STS, as EKS has it."""

from __future__ import annotations

import base64
import re
import ssl
from collections.abc import Callable, Mapping
from typing import Any

import boto3
import httpx
from botocore.exceptions import NoCredentialsError
from botocore.signers import RequestSigner

from darkroom.errors import AwsRefused, AwsUnavailable, StackFailure
from darkroom.infra.cloud import Cloud, translated

_TOKEN_PREFIX = "k8s-aws-v1."  # noqa: S105 - the name of a form, and no secret
_TOKEN_SECONDS = 60
_TIMEOUT_SECONDS = 15.0


class ClusterApi:
    """Reads and changes objects by their paths. `token` is asked for each call: it is good for some minutes only.

    Every method raises `AwsRefused` where we may not ask, `AwsUnavailable` where the server cannot be reached, and
    `StackFailure` where it does not do what it is asked.
    """

    def __init__(self, endpoint: str, certificate_authority: str, token: Callable[[], str]) -> None:
        context = ssl.create_default_context(cadata=certificate_authority)
        self._http = httpx.Client(base_url=endpoint, verify=context, timeout=_TIMEOUT_SECONDS, trust_env=True)
        self._token = token

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def get(self, path: str) -> dict[str, Any] | None:
        """The object at `path`, or None where there is none."""
        return self._ask("GET", path)

    def patch(self, path: str, changes: Mapping[str, Any]) -> dict[str, Any] | None:
        """Merge `changes` into the object at `path`, where None removes; None where there is no such object."""
        return self._ask("PATCH", path, json=changes, headers={"Content-Type": "application/merge-patch+json"})

    def _ask(self, method: str, path: str, headers: Mapping[str, str] | None = None, **more: Any) -> Any:
        try:
            answer = self._http.request(
                method, path, headers={"Authorization": f"Bearer {self._token()}", **(headers or {})}, **more
            )
        except httpx.HTTPError as error:
            raise AwsUnavailable(f"the cluster's API server does not answer: {error or type(error).__name__}") from None
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        if answer.is_error:
            kind = AwsRefused if answer.status_code in (401, 403) else StackFailure
            raise kind(f"the cluster's API server answers {answer.status_code} to {method} {path}: {_why(answer)}")
        return answer.json()


def _why(answer: httpx.Response) -> str:
    try:
        return str(answer.json().get("message"))
    except (ValueError, AttributeError):
        return answer.text[:200]


def open_cluster(cloud: Cloud, outputs: Mapping[str, str]) -> ClusterApi:
    """The API server of a stack, by the stack's outputs. Raises `AwsFailure`, or `StackFailure` without a cluster.

    The stack's role for administrators is taken where it may be; else whoever asks must be let in by himself.
    """
    name = outputs.get("ClusterName")
    if not name:
        raise StackFailure("the stack has no cluster")
    with translated(f"looking for the cluster {name}"):
        cluster = cloud.client("eks").describe_cluster(name=name)["cluster"]
    role = re.search(r"--role-arn (\S+)", outputs.get("ConfigCommand", ""))
    session = _as_administrator(cloud, role[1]) if role else cloud.session
    certificate = base64.b64decode(cluster["certificateAuthority"]["data"]).decode()
    return ClusterApi(cluster["endpoint"], certificate, lambda: token(session, cloud.region, name))


def token(session: boto3.Session, region: str, cluster: str) -> str:
    """Who we are, as the cluster's API server asks STS for it: a link that is signed for one minute."""
    with translated("signing for the cluster"):
        client, credentials = session.client("sts", region_name=region), session.get_credentials()
        if credentials is None:
            raise NoCredentialsError
        signer = RequestSigner(client.meta.service_model.service_id, region, "sts", "v4", credentials, session.events)
        host = client.meta.endpoint_url.rstrip("/")
        request = {
            "method": "GET",
            "url": f"{host}/?Action=GetCallerIdentity&Version=2011-06-15",
            "body": {},
            "headers": {"x-k8s-aws-id": cluster},
            "context": {},
        }
        link = signer.generate_presigned_url(request, region_name=region, expires_in=_TOKEN_SECONDS, operation_name="")
    return _TOKEN_PREFIX + base64.urlsafe_b64encode(link.encode()).decode().rstrip("=")


def _as_administrator(cloud: Cloud, role: str) -> boto3.Session:
    try:
        with translated(f"taking the role {role}"):
            found = cloud.client("sts").assume_role(RoleArn=role, RoleSessionName="darkroom")["Credentials"]
    except AwsRefused:
        return cloud.session
    return boto3.Session(
        aws_access_key_id=found["AccessKeyId"],
        aws_secret_access_key=found["SecretAccessKey"],
        aws_session_token=found["SessionToken"],
        region_name=cloud.region,
    )

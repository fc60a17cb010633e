"""Amazon ECR as a registry to push into: it wants a repository before the first push, and a password every time."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass

from botocore.exceptions import ClientError

from darkroom.infra.cloud import Cloud, Told, translated
from darkroom.infra.image_names import image_parts

_ECR = re.compile(r"^(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(\.cn)?$")


@dataclass(frozen=True)
class EcrRegistry:
    """One account's private registry in one region; `host` is its address."""

    host: str
    account: str
    region: str


@dataclass(frozen=True)
class RegistryLogin:
    """What `docker login` wants; the password is a secret and good for twelve hours."""

    user: str
    password: str


# Lets a program (docker, helm) into the registry at a host.
LogIn = Callable[[str, RegistryLogin], None]


def ecr_registry(address: str) -> EcrRegistry | None:
    """The registry of an address with or without a path, or None where that is not ECR's."""
    host = address.partition("/")[0]
    found = _ECR.match(host)
    return EcrRegistry(host, found["account"], found["region"]) if found else None


def ensure_repository(cloud: Cloud, registry: EcrRegistry, name: str, told: Told) -> None:
    """Make the repository `name` where there is none. Raises `AwsFailure`."""
    with translated(f"making the repository {name} in {registry.host}"):
        try:
            cloud.client("ecr").create_repository(
                registryId=registry.account,
                repositoryName=name,
                imageScanningConfiguration={"scanOnPush": True},
                tags=[{"Key": "made-by", "Value": "darkroom"}],
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "RepositoryAlreadyExistsException":
                raise
        else:
            told(f"repository {name}: made")


def registry_login(cloud: Cloud, registry: EcrRegistry) -> RegistryLogin:
    """A fresh password for the registry. Raises `AwsFailure`."""
    with translated(f"logging in to {registry.host}"):
        (found,) = cloud.client("ecr").get_authorization_token()["authorizationData"]
    user, _, password = base64.b64decode(found["authorizationToken"]).decode().partition(":")
    return RegistryLogin(user, password)


class PushTarget:
    """A registry to push images into, made ready for each one; any other registry than ECR is left as it is."""

    def __init__(self, address: str, open_region: Callable[[str], Cloud], log_in: LogIn, told: Told) -> None:
        self.address = address.rstrip("/")
        self._ecr = ecr_registry(self.address)
        self._open_region = open_region
        self._log_in = log_in
        self._told = told
        self._cloud: Cloud | None = None

    def reference(self, image: str) -> str:
        """What `image` is called there, once it may be pushed. Raises `AwsFailure` and what `log_in` raises."""
        reference = f"{self.address}/{image}"
        if self._ecr is not None:
            if self._cloud is None:
                self._cloud = self._open_region(self._ecr.region)
                self._log_in(self._ecr.host, registry_login(self._cloud, self._ecr))
            ensure_repository(self._cloud, self._ecr, image_parts(reference).repository, self._told)
        return reference

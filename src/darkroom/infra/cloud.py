"""The AWS account and region that a command works in: clients, clock and errors, in one place."""

from __future__ import annotations

import difflib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar, cast

import boto3
from boto3.exceptions import Boto3Error
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from darkroom.config.partition import PartitionFacts, partition_facts
from darkroom.errors import AwsRefused, AwsUnavailable, SettingsError

Told = Callable[[str], None]
T = TypeVar("T")
_PASSING = frozenset(
    {"Throttling", "ThrottlingException", "RequestLimitExceeded", "ServiceUnavailable", "InternalError"}
)


@dataclass
class Cloud:
    """One account in one region. `endpoint_url` is None for AWS itself."""

    session: boto3.Session
    region: str
    endpoint_url: str | None = None
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    _clients: dict[tuple[str, str], Any] = field(default_factory=dict)
    _known: dict[str, Any] = field(default_factory=dict, init=False)

    def client(self, service: str, region: str | None = None) -> Any:
        """A client of that service, made once; in another region for what is kept in one region only."""
        place = service, region or self.region
        if place not in self._clients:
            path_style = {"addressing_style": "path"} if self.endpoint_url else {}
            self._clients[place] = self.session.client(
                cast("Any", service),
                region_name=place[1],
                endpoint_url=self.endpoint_url,
                config=Config(retries={"mode": "standard", "max_attempts": 5}, s3=cast("Any", path_style)),
            )
        return self._clients[place]

    def once(self, what: str, look: Callable[[], T]) -> T:
        """What `look` finds, asked once under this name: for what AWS has, which is the same while a command runs."""
        if what not in self._known:
            self._known[what] = look()
        found: T = self._known[what]
        return found

    @cached_property
    def account(self) -> str:
        """The account's number. Raises `AwsFailure` without credentials."""
        with translated("asking who we are"):
            account: str = self.client("sts").get_caller_identity()["Account"]
        return account

    @property
    def facts(self) -> PartitionFacts:
        """What this region's partition has."""
        return partition_facts(self.region)

    @property
    def asset_bucket(self) -> str:
        """The bucket for the files of deployments, one for each account and region."""
        return f"darkroom-assets-{self.account}-{self.region}"


def open_cloud(region: str | None, profile: str | None = None, endpoint_url: str | None = None) -> Cloud:
    """The account of the user's profile or environment. Raises `SettingsError` where the region is not known."""
    session = boto3.Session(profile_name=profile, region_name=region)
    if session.region_name is None:
        raise SettingsError("no AWS region is known: give --region, or set AWS_DEFAULT_REGION")
    check_region(session.region_name)
    return Cloud(session, session.region_name, endpoint_url)


def check_region(region: str) -> None:
    """Raises `SettingsError` for a region that AWS does not have, or that this boto3 is too old to know."""
    session = boto3.Session()
    known = {
        name
        for partition in session.get_available_partitions()
        for name in session.get_available_regions("ec2", partition)
    }
    if region not in known:
        close = difflib.get_close_matches(region, known, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise SettingsError(f"{region} is no region of AWS that boto3 {boto3.__version__} knows{hint}")


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Turn the AWS library's errors into Darkroom's, with what was being done."""
    try:
        yield
    except NoCredentialsError:
        raise AwsRefused(f"{doing}: there are no AWS credentials; set them with: aws configure") from None
    except ClientError as error:
        raise _kind_of(error)(f"{doing}: {error}") from error
    except Boto3Error as error:  # of an upload; it hides what AWS said
        cause = error.__context__
        kind = _kind_of(cause) if isinstance(cause, ClientError) else AwsUnavailable
        raise kind(f"{doing}: {error}") from error
    except BotoCoreError as error:
        raise AwsUnavailable(f"{doing}: {error}") from error


def _kind_of(error: ClientError) -> type[AwsUnavailable | AwsRefused]:
    return AwsUnavailable if error.response.get("Error", {}).get("Code", "") in _PASSING else AwsRefused

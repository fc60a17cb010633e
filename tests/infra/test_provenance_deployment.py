"""What signs pictures on AWS: who may use it, what the agents are told of it, and who hears when it ends."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any

import boto3
import pytest
from cryptography.hazmat.primitives import serialization

from darkroom.config.loader import parse_config
from darkroom.config.provenance import Provenance
from darkroom.errors import SettingsError
from darkroom.infra.checks.findings import Finding, Verdict
from darkroom.infra.checks.preflight import check
from darkroom.infra.checks.signing_check import SUBJECT, check_signing
from darkroom.infra.cloud import Cloud
from darkroom.settings import ProvenanceSettings, read_agent_settings
from darkroom.testing.loopback_aws import CREDENTIALS, loopback_aws
from tests.certificates import Authority
from tests.infra.chart import Chart, kinds, pod_values_for
from tests.infra.conftest import CONFIG, EXISTING, made_once, read_template, synthesised
from tests.infra.test_alarms import alarms
from tests.infra.test_template import listed, of_type, statements

SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:signing-AbCdEf"
KEY = "arn:aws:kms:us-east-1:123456789012:key/12345678-1234-1234-1234-123456789012"
SECTION = (
    f"provenance: {{certificate: '{SECRET}', kmsKeyId: '{KEY}', required: true, includePrompts: true, "
    "timestampAuthority: 'http://timestamp.example.com'}"
)
RUNTIME = "- {name: sdruntime, namespace: sd, type: sdwebui}"


@pytest.fixture(scope="module", params=[CONFIG, EXISTING], ids=["own cluster", "existing cluster"])
def signing_template(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The stack with everything that the section can say."""
    name = "signing" if request.param == CONFIG else "signing-existing"
    return read_template(made_once(tmp_path_factory, name, partial(synthesised, f"{request.param}\n{SECTION}\n")))


def test_agents_may_read_the_one_certificate_and_sign_with_the_one_key(signing_template: dict[str, Any]) -> None:
    found = [
        (name, listed(statement["Action"]), listed(statement["Resource"]))
        for name, statement in statements(signing_template)
        if any(action.startswith(("kms:", "secretsmanager:")) for action in listed(statement["Action"]))
        and not name.startswith(("Observability", "Webhooks"))  # they have keys and secrets of their own
    ]
    agents = {name for name, *_ in found}
    assert agents
    assert all("Role" in name for name in agents)
    by_role = {
        name: sorted((*actions, *resources) for other, actions, resources in found if other == name) for name in agents
    }
    for said in by_role.values():
        assert said == [("kms:Sign", KEY), ("secretsmanager:GetSecretValue", SECRET)]


def test_without_a_certificate_agents_may_do_nothing_with_keys_and_secrets(template: dict[str, Any]) -> None:
    for name, statement in statements(template):
        if name.startswith("Runtime"):
            assert not any(action.startswith(("kms:", "secretsmanager:")) for action in listed(statement["Action"]))
    assert not {"SigningCertificateExpires", "PicturesUnsigned"} & set(alarms(template))


def test_people_hear_of_a_certificate_that_expires_and_of_pictures_that_are_not_signed(
    signing_template: dict[str, Any],
) -> None:
    if not of_type(signing_template, "AWS::Logs::MetricFilter"):
        pytest.skip("the logs of a cluster that is there are its owner's")
    for name, action in (
        ("SigningCertificateExpires", "provenance.certificate_expires"),
        ("PicturesUnsigned", "provenance.signing_failed"),
    ):
        alarm = alarms(signing_template)[name]
        assert (alarm["Threshold"], alarm["Period"], alarm["EvaluationPeriods"]) == (0, 6 * 3600, 1)
        assert alarm["AlarmActions"]
        (pattern,) = (
            found["FilterPattern"]
            for found in of_type(signing_template, "AWS::Logs::MetricFilter")
            if found["MetricTransformations"][0]["MetricName"].endswith(name)
        )
        assert f'($.log_processed.action = "{action}")' in pattern


def agent_settings(chart: Chart, section: str = "") -> ProvenanceSettings:
    """What an agent reads in the pod's own environment."""
    rendered = kinds(
        [
            manifest
            for manifest in chart.render(pod_values_for(RUNTIME, section))
            if manifest["metadata"]["name"].endswith("-agent") or manifest["kind"] != "ConfigMap"
        ]
    )
    return read_agent_settings(rendered["ConfigMap"]["data"]).provenance


def test_agents_are_told_what_the_configuration_says(chart: Chart) -> None:
    assert agent_settings(chart, SECTION) == ProvenanceSettings(
        required=True,
        certificate=SECRET,
        kms_key_id=KEY,
        timestamp_authority="http://timestamp.example.com",
        include_prompts=True,
    )
    assert agent_settings(chart) == ProvenanceSettings()
    assert agent_settings(chart, "provenance: {enabled: false}") == ProvenanceSettings(enabled=False)


@pytest.mark.parametrize(
    ("section", "reason"),
    [
        (f"{{kmsKeyId: '{KEY}'}}", "needs certificate too"),
        ("{required: true}", "needs certificate too"),
        (f"{{certificate: '{SECRET.replace('us-east-1', 'eu-west-1')}'}}", "is in eu-west-1"),
        (f"{{certificate: '{SECRET}', kmsKeyId: '{KEY.replace('us-east-1', 'eu-west-1')}'}}", "is in eu-west-1"),
        ("{certificate: certificate.pem}", "provenance.certificate"),
        ("{kmsKeyId: alias/signing}", "provenance.kmsKeyId"),
        ("{timestampAuthority: timestamp.example.com}", "provenance.timestampAuthority"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_made(section: str, reason: str) -> None:
    with pytest.raises(SettingsError, match=reason):
        parse_config(f"modelsRuntime:\n{RUNTIME}\nprovenance: {section}\n", region="us-east-1")


def test_a_stack_on_one_machine_may_require_signatures_for_it_has_a_certificate_of_its_own() -> None:
    assert parse_config(f"modelsRuntime:\n{RUNTIME}\nprovenance: {{required: true}}\n").provenance.required


class Region:
    """An emulator's account with a key, and a certificate for it in a secret."""

    def __init__(self, endpoint_url: str, region: str) -> None:
        self.cloud = Cloud(boto3.Session(region_name=region), region, endpoint_url)
        self.authority = Authority()
        kms = self.cloud.client("kms")
        made = kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]
        self.key_arn: str = made["Arn"]
        self.public_key = serialization.load_der_public_key(kms.get_public_key(KeyId=self.key_arn)["PublicKey"])

    def found(self, text: bytes | None, *, key: bool = True, **more: object) -> Finding:
        """What is said of a certificate in a secret; None: there is no such secret."""
        secret = SECRET
        if text is not None:
            name = f"signing-{uuid.uuid4().hex[:8]}"
            secret = self.cloud.client("secretsmanager").create_secret(Name=name, SecretString=text.decode())["ARN"]
        section = Provenance(certificate=secret, kms_key_id=self.key_arn if key else None, **more)  # type: ignore[arg-type]
        config = parse_config(f"modelsRuntime:\n{RUNTIME}\n").model_copy(update={"provenance": section})
        (found,) = check_signing(self.cloud, config, datetime.now(UTC).date())
        return found


@pytest.fixture(scope="module")
def region(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Region]:
    with loopback_aws(tmp_path_factory.mktemp("signing-emulator")) as settings, pytest.MonkeyPatch.context() as patch:
        for name, value in CREDENTIALS.items():
            patch.setenv(name, value)
        yield Region(str(settings.endpoint_url), settings.region)


def test_the_plan_looks_at_the_certificate_and_its_key(region: Region) -> None:
    leaf = region.authority.leaf(region.public_key) + region.authority.intermediate  # type: ignore[arg-type]
    assert region.found(leaf).verdict is Verdict.GOOD
    soon = region.authority.leaf(region.public_key, ends=9)  # type: ignore[arg-type]
    assert "expires in" in region.found(soon).remedy
    for text, key, words in (
        (None, True, "reading the secret"),
        (b"nothing", True, "no PEM block CERTIFICATE"),
        (region.authority.leaf(region.public_key, begins=-9, ends=-2), True, "expired on"),  # type: ignore[arg-type]
        (Authority().issue(), True, "for another key"),
        (leaf, False, "holds no private key"),
    ):
        for required, verdict in ((False, Verdict.LIMITED), (True, Verdict.MISSING)):
            found = region.found(text, key=key, required=required)
            assert (found.verdict, words in found.remedy) == (verdict, True), found
    assert region.found(Authority().issue(), key=False).verdict is Verdict.GOOD


def test_the_plan_says_when_pictures_are_not_signed_or_say_nothing() -> None:
    for section, words in (("", "set provenance.certificate"), ("provenance: {enabled: false}", "law")):
        found = [
            one for one in check(None, parse_config(f"modelsRuntime:\n{RUNTIME}\n{section}")) if one.subject == SUBJECT
        ]
        assert [one.verdict for one in found] == [Verdict.LIMITED]
        assert words in found[0].remedy

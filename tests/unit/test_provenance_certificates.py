"""What is read of a certificate is what the library for certificates reads, and what cannot be used is told apart."""

from __future__ import annotations

import base64
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from tests.certificates import HOLDER, Authority, private_key_pem

from darkroom.errors import SigningUnavailable
from darkroom.provenance.certificate import certificates_in, read_certificate, read_material
from darkroom.provenance.library import Signer
from darkroom.provenance.trial import kept_trial_certificate, make_trial_certificate

NOW = datetime.now(UTC)
KEYS = {
    "es256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "es384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "es512": lambda: ec.generate_private_key(ec.SECP521R1()),
    "ps256": lambda: rsa.generate_private_key(65537, 2048),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
}


@pytest.mark.parametrize("algorithm", KEYS)
def test_the_facts_of_a_certificate_are_those_that_a_library_reads(algorithm: str) -> None:
    key: PrivateKeyTypes = KEYS[algorithm]()
    material = read_material(Authority().issue(key=key))
    known = x509.load_pem_x509_certificate(material.chain)
    found = material.certificate
    assert (found.not_before, found.not_after) == (known.not_valid_before_utc, known.not_valid_after_utc)
    assert found.holder == f"{HOLDER}, {HOLDER} of a test"
    assert found.algorithm == algorithm
    assert material.key is not None
    Signer(material).check()


def test_a_certificate_of_another_century_is_read() -> None:
    """Years from 2050 are spelled with four digits."""
    leaf = Authority().leaf(ec.generate_private_key(ec.SECP256R1()).public_key(), ends=365 * 40)
    assert read_certificate(leaf).not_after == x509.load_pem_x509_certificate(leaf).not_valid_after_utc


def refusal(text: bytes) -> str:
    with pytest.raises(SigningUnavailable) as caught:
        Signer(read_material(text)).check()
    return caught.value.reason


def test_what_cannot_sign_is_told_by_what_is_wrong_with_it() -> None:
    authority, other = Authority(), Authority()
    key = ec.generate_private_key(ec.SECP256R1())
    leaf, pem = authority.leaf(key.public_key()), private_key_pem(key)
    assert "no PEM block CERTIFICATE" in refusal(b"nothing")
    assert "cannot be read" in refusal(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    assert "cannot be read" in refusal(b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n")
    assert "without its private key" in refusal(leaf + authority.intermediate)
    assert "not valid at time of signing" in refusal(authority.issue(begins=-20, ends=-10))
    assert "not valid at time of signing" in refusal(authority.issue(begins=10, ends=20))
    assert "chain is broken" in refusal(leaf + other.intermediate + pem)
    assert "does not match" in refusal(
        leaf + authority.intermediate + private_key_pem(ec.generate_private_key(ec.SECP256R1()))
    )
    assert "of a kind that C2PA does not take" in refusal(authority.issue(key=ec.generate_private_key(ec.SECP256K1())))
    encrypted = b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"
    assert "encrypted" in refusal(leaf + encrypted)
    Signer(read_material(leaf + pem)).check()  # alone: there is no chain to be wrong


def test_a_certificate_that_is_cut_off_anywhere_is_refused_and_no_fault() -> None:
    whole = Authority().leaf(ec.generate_private_key(ec.SECP256R1()).public_key())
    der = x509.load_pem_x509_certificate(whole).public_bytes(serialization.Encoding.DER)
    for length in range(0, len(der), 7):
        pem = b"-----BEGIN CERTIFICATE-----\n" + base64.b64encode(der[:length]) + b"\n-----END CERTIFICATE-----\n"
        with pytest.raises(SigningUnavailable):
            read_certificate(pem)


def test_a_trial_certificate_is_made_once_and_anew_in_time_and_is_nobody_elses(tmp_path: Path) -> None:
    path = kept_trial_certificate(tmp_path / "provenance", NOW)
    first = path.read_bytes()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert kept_trial_certificate(tmp_path / "provenance", NOW + timedelta(days=330)).read_bytes() == first
    second = kept_trial_certificate(tmp_path / "provenance", NOW + timedelta(days=340)).read_bytes()
    assert second != first
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.write_bytes(b"half of one")
    assert kept_trial_certificate(tmp_path / "provenance", NOW).read_bytes() not in (first, second, b"half of one")


def test_a_trial_certificate_says_what_it_is_for_and_lasts_no_longer_than_c2pa_allows() -> None:
    material = read_material(b"".join(make_trial_certificate(NOW)))
    assert "trial" in material.certificate.holder
    assert "trusted by nobody" in material.certificate.holder
    assert material.certificate.not_after - material.certificate.not_before <= timedelta(days=366)
    assert len(certificates_in(material.chain)) == 2
    Signer(material).check()

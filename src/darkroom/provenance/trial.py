"""A certificate for trials: made on this machine, at the first start, and trusted by nobody.

It has the form that C2PA asks of a real one (a leaf below an intermediate, which is as far as a chain is shipped), so
that what works with it works with one from a certificate authority. Its names say what it is for.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID, ObjectIdentifier

ORGANIZATION = "Darkroom trial certificate, trusted by nobody"
FILE = "certificate.pem"
# Those that official certificates have; readers of the library's default settings refuse the second one alone.
_EMAIL_PROTECTION = ObjectIdentifier("1.3.6.1.5.5.7.3.4")
_CLAIM_SIGNING = ObjectIdentifier("1.3.6.1.4.1.62558.2.1")
# C2PA allows no more. It is made anew in time, for a stack may rest for months.
_VALID = timedelta(days=366)
_RENEWED_BEFORE = timedelta(days=30)
_CLOCKS_DIFFER = timedelta(minutes=5)


def kept_trial_certificate(folder: Path, now: datetime | None = None) -> Path:
    """Return the file with the trial certificate and its key: made once, and anew before it expires.

    This user alone can read it.
    """
    now = now or datetime.now(UTC)
    path = folder / FILE
    if not _lasts(path, now):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(path, b"".join(make_trial_certificate(now)))
    return path


def make_trial_certificate(now: datetime, valid: timedelta = _VALID) -> tuple[bytes, bytes]:
    """Make a chain of a leaf and the authority above it, and the leaf's private key, each as PEM.

    The authority's own key is thrown away: it signs nothing else.
    """
    authority_key, leaf_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    begins = now - _CLOCKS_DIFFER
    authority_name, leaf_name = _name("Darkroom trial authority"), _name("Darkroom trial signer")
    identifier = x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key())
    authority = (
        x509.CertificateBuilder()
        .subject_name(authority_name)
        .issuer_name(authority_name)
        .public_key(authority_key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(begins + valid)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(identifier, critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    leaf = (
        x509.CertificateBuilder()
        .subject_name(leaf_name)
        .issuer_name(authority_name)
        .public_key(leaf_key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(begins + valid)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([_EMAIL_PROTECTION, _CLAIM_SIGNING]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(leaf_key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    chain = b"".join(certificate.public_bytes(serialization.Encoding.PEM) for certificate in (leaf, authority))
    key = leaf_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return chain, key


def _name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, ORGANIZATION),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _lasts(path: Path, now: datetime) -> bool:
    try:
        leaf = x509.load_pem_x509_certificate(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return False
    return bool(leaf.not_valid_after_utc - now > _RENEWED_BEFORE)


def _write(path: Path, content: bytes) -> None:
    temporary = path.with_suffix(".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    temporary.replace(path)

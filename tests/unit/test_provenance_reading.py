"""What `darkroom provenance show` says of a picture, to a person and to a script."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.certificates import HOLDER, Authority
from tests.media_samples import FILMS_WITHOUT_A_PLACE, picture

from darkroom.cli.main import main
from darkroom.cli.signed import told_of_signatures
from darkroom.policy.media_types import MediaType, recognise
from darkroom.provenance.certificate import find_certificate, read_certificate, read_material
from darkroom.provenance.labels.files import labelled
from darkroom.provenance.library import Signer, keep_ingredient
from darkroom.provenance.manifest import manifest_of
from darkroom.provenance.origin import Origin
from darkroom.provenance.reading import Verdict, read_account, told
from darkroom.tasks.task import TaskKind

NOW = datetime(2026, 11, 25, tzinfo=UTC)
AUTHORITY = Authority()
SIGNER = Signer(read_material(AUTHORITY.issue()))


def kind_of(data: bytes) -> MediaType:
    media_type = recognise(data)
    assert media_type is not None
    return media_type


def sign(data: bytes, origin: Origin, signer: Signer = SIGNER) -> tuple[bytes, bytes]:
    """The signed file, and its credentials."""
    signed = io.BytesIO()
    ingredients = origin.ingredients_of(1)
    manifest = manifest_of(origin, len(ingredients), version="1.2.3", when=NOW)
    destination = None if kind_of(data).kind == "video" else signed
    credentials = signer.sign(manifest, kind_of(data), io.BytesIO(data), destination, ingredients)
    return signed.getvalue(), credentials


def origin(**changes: object) -> Origin:
    values = {
        "kind": TaskKind.TEXT_TO_IMAGE,
        "runtime": "sdruntime",
        "runtime_type": "sdwebui",
        "source_type": "trainedAlgorithmicMedia",
        "model": "a-model",
        "prompts": {"prompt": "a dog"},
    }
    return Origin(**{**values, **changes})  # type: ignore[arg-type]


def text_of(data: bytes, **options: bytes | None) -> str:
    return "\n".join(told(read_account(data, kind_of(data), **options)))  # type: ignore[arg-type]


def test_a_signed_picture_says_who_made_it_by_which_model() -> None:
    data, _ = sign(picture("PNG"), origin())
    text = text_of(data, trust_anchors=AUTHORITY.root)
    for words in (
        HOLDER,
        "one that you trust",
        "Darkroom 1.2.3",
        "sdruntime",
        "a-model",
        "made by a trained model",
        "a dog",
    ):
        assert words in text
    assert "nobody vouches for" in text_of(data)
    assert "nobody vouches for" in text_of(data, trust_anchors=Authority().root)


def test_what_it_was_made_from_is_told_and_whether_that_is_as_it_was_signed() -> None:
    first, _ = sign(picture("PNG"), origin())
    changed = bytearray(first)
    changed[-200] ^= 1
    for data, words in (
        (first, f"signed by {HOLDER}"),
        (bytes(changed), "and changed since"),
        (picture("PNG"), "without credentials of its own"),
    ):
        ingredient = keep_ingredient(io.BytesIO(data), kind_of(data), 0, "input 1")
        assert ingredient is not None
        composite = "compositeWithTrainedAlgorithmicMedia"
        made, _ = sign(picture("JPEG"), origin(source_type=composite, ingredients=(ingredient,)))
        text = text_of(made, trust_anchors=AUTHORITY.root)
        assert "Made from: input 1" in text
        assert words in text
        assert "made from a picture, with a trained model" in text


def test_what_was_changed_is_told_before_anything_else() -> None:
    data = bytearray(sign(picture("PNG"), origin())[0])
    data[-200] ^= 1
    account = read_account(bytes(data), kind_of(bytes(data)))
    assert account.verdict is Verdict.CHANGED
    assert next(told(account)).startswith("IT WAS CHANGED")


def test_a_picture_that_is_not_signed_says_what_it_says_of_itself() -> None:
    plain = picture("PNG")
    assert "does not say how it was made" in text_of(plain)
    only = labelled(plain, kind_of(plain), "trainedAlgorithmicMedia")
    assert only is not None
    assert "says of itself: made by a trained model" in text_of(only)
    assert "does not say" in text_of(b"\x89PNG\r\n\x1a\n" + bytes(100))


def test_the_certificate_is_found_in_what_it_has_signed() -> None:
    for form in ("PNG", "JPEG", "WEBP", "GIF", "TIFF", "AVIF"):
        data, credentials = sign(picture(form), origin())
        expected = read_certificate(SIGNER.material.chain)
        assert find_certificate(data) == find_certificate(credentials) == expected
    assert find_certificate(picture("PNG")) is None


def show(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    code = main(["provenance", "show", *arguments])
    return code, capsys.readouterr().out


def test_the_command_reads_a_file_and_what_lies_beside_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    film = FILMS_WITHOUT_A_PLACE["webm"]()
    _, credentials = sign(film, origin())
    (tmp_path / "t1-1.webm").write_bytes(film)
    anchors = tmp_path / "root.pem"
    anchors.write_bytes(AUTHORITY.root)
    code, text = show(capsys, str(tmp_path / "t1-1.webm"))
    assert (code, "no Content Credentials" in text) == (0, True)
    (tmp_path / "t1-1.c2pa").write_bytes(credentials)
    code, text = show(capsys, str(tmp_path / "t1-1.webm"), "--trust-anchors", str(anchors))
    assert (code, "one that you trust" in text) == (0, True)
    (tmp_path / "t1-1.webm").write_bytes(film[:-9] + bytes(9))
    code, text = show(capsys, str(tmp_path / "t1-1.webm"), "--json")
    account = json.loads(text)
    assert (code, account["verdict"], account["model"]) == (1, "changed", "a-model")


def test_what_a_file_says_does_not_steer_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, _ = sign(picture("PNG"), origin(model="\x1b[31mred\x07", prompts={"prompt": "[bold]\x1b]0;title\x07"}))
    (tmp_path / "a.png").write_bytes(data)
    code, text = show(capsys, str(tmp_path / "a.png"))
    assert code == 0
    assert not {"\x1b", "\x07"} & set(text)
    assert "[bold]" in text


def test_trust_anchors_that_are_none_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.png").write_bytes(picture("PNG"))
    (tmp_path / "root.pem").write_text("nothing")
    assert main(["provenance", "show", str(tmp_path / "a.png"), "--trust-anchors", str(tmp_path / "root.pem")]) == 2
    assert "holds no PEM block CERTIFICATE" in capsys.readouterr().err


def test_verify_says_who_signs_and_until_when(tmp_path: Path) -> None:
    def kept(name: str, data: bytes) -> Path:
        (tmp_path / name).write_bytes(data)
        return tmp_path / name

    now = datetime.now(UTC) + timedelta(minutes=1)  # certificates end at whole seconds: none ends in a day just now
    signed = kept("signed.png", sign(picture("PNG"), origin())[0])
    soon = kept("soon.png", sign(picture("PNG"), origin(), Signer(read_material(AUTHORITY.issue(ends=9))))[0])
    only = labelled(picture("PNG"), kind_of(picture("PNG")), "trainedAlgorithmicMedia")
    assert only is not None
    paths = [signed, signed, soon, kept("only.png", only), kept("plain.png", picture("PNG"))]
    lines = list(told_of_signatures(paths, now))
    assert [is_warning for _, is_warning in lines] == [False, True, False, True]
    assert lines[0][0].startswith(f"2 signed by {HOLDER}")
    assert "in 299 days" in lines[0][0]
    assert "in 8 days: replace it" in lines[1][0]
    assert "1 not signed" in lines[2][0]
    assert "do not say that a machine made them" in lines[3][0]
    (expired, is_warning), *_ = told_of_signatures([soon], now + timedelta(days=10))
    assert is_warning
    assert "has expired" in expired

"""Options, masks, pictures, tokens and samplers of the built-in runtime, each by itself."""

from __future__ import annotations

import base64
import io
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from darkroom.errors import InvalidRequest
from darkroom.inference.engine import Checkpoint, Fill
from darkroom.inference.inpainting import MaskOptions, ResizeMode, prepare, resize
from darkroom.inference.options import Options
from darkroom.inference.pictures import encode_picture, grid_of, opaque
from darkroom.inference.pocket.engine import between, guidance, plain_words
from darkroom.inference.pocket.pixels import to_picture, to_pixels
from darkroom.inference.pocket.sampling import SAMPLERS, walk
from darkroom.inference.pocket.schedules import SCHEDULERS, noise_levels
from darkroom.inference.pocket.synonyms import with_known_names
from darkroom.inference.pocket.tokens import FIRST_WORD, MAX_WORDS, UNKNOWN_WORD, Tokenizer
from darkroom.inference.reading import read_notes, receive_picture

MASK = MaskOptions(0, 0, round=True, invert=False, full_resolution=False, padding=0, fill=Fill.ORIGINAL)


def test_options_change_all_or_none() -> None:
    options = Options()
    with pytest.raises(InvalidRequest) as caught:
        options.changed(
            {"jpeg_quality": 300, "nope": 1, "samples_format": "jpg", "return_grid": 1}, "override_settings"
        )
    assert [fault.path for fault in caught.value.faults] == [
        "override_settings.jpeg_quality",
        "override_settings.nope",
        "override_settings.return_grid",
    ]
    assert options.changed({"samples_format": "jpg"}).samples_format == "jpg"


@pytest.mark.parametrize(
    "name",
    [
        "dream.safetensors [0123456789]",
        "dream",
        "dream.safetensors",
        "0123456789",
        "0123456789abcdef",
        "dream.safetensors [stale hash]",
    ],
)
def test_a_checkpoint_answers_to_its_names(name: str) -> None:
    checkpoint = Checkpoint("dream", Path("models/dream.safetensors"), "0123456789abcdef")
    assert checkpoint.answers_to(name)
    assert not checkpoint.answers_to("other.safetensors")
    assert not checkpoint.answers_to("")


@pytest.mark.parametrize("file_format", ["png", "jpg", "jpeg", "webp"])
@settings(deadline=None)  # a busy machine is no fault
@given(text=st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=200))
def test_infotext_survives_every_format(file_format: str, text: str) -> None:
    encoded = encode_picture(Image.new("RGB", (8, 8), "red"), file_format, text)
    assert read_notes(base64.b64encode(encoded).decode(), "image") == (text, {})


def test_a_picture_with_too_many_pixels_is_refused_before_it_is_decoded() -> None:
    buffer = io.BytesIO()
    Image.new("1", (5000, 5000)).save(buffer, "PNG")
    with pytest.raises(InvalidRequest, match="5000x5000 pixels"):
        receive_picture(base64.b64encode(buffer.getvalue()).decode(), "image")


def test_transparency_shows_the_background() -> None:
    assert opaque(Image.new("RGBA", (2, 2), (255, 0, 0, 0)), "#00ff00").getpixel((0, 0)) == (0, 255, 0)


def test_a_grid_is_as_square_as_can_be() -> None:
    assert grid_of([Image.new("RGB", (10, 20))] * 4).size == (20, 40)
    assert grid_of([Image.new("RGB", (10, 20))] * 5).size == (30, 40)


@pytest.mark.parametrize("mode", list(ResizeMode))
def test_resizing_gives_the_size_asked_for(mode: ResizeMode) -> None:
    assert resize(Image.new("RGB", (100, 50)), 64, 96, mode).size == (64, 96)


def test_an_empty_mask_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="paint white"):
        prepare([Image.new("RGB", (64, 64))], Image.new("L", (64, 64)), 64, 64, ResizeMode.STRETCH, MASK)


def test_a_mask_may_be_inverted_and_drawn_in_transparency() -> None:
    drawn = Image.new("RGBA", (64, 64), (0, 0, 0, 0))
    drawn.paste((0, 0, 0, 255), (0, 0, 32, 64))
    source = [Image.new("RGB", (64, 64), "blue")]
    prepared = prepare(source, drawn, 64, 64, ResizeMode.STRETCH, MASK)
    assert prepared.mask is not None
    assert [prepared.mask.getpixel((x, 5)) for x in (5, 60)] == [255, 0]
    inverted = prepare(
        source, drawn, 64, 64, ResizeMode.STRETCH, MaskOptions(0, 0, True, True, False, 0, Fill.ORIGINAL)
    )
    assert inverted.mask is not None
    assert [inverted.mask.getpixel((x, 5)) for x in (5, 60)] == [0, 255]


def test_blurred_filling_takes_its_colour_from_around_the_mask() -> None:
    picture = Image.new("RGB", (64, 64), (0, 0, 255))
    picture.paste((255, 0, 0), (24, 24, 40, 40))
    mask = Image.new("L", (64, 64))
    mask.paste(255, (24, 24, 40, 40))
    options = MaskOptions(0, 0, True, False, False, 0, Fill.BLURRED)
    filled = prepare([picture], mask, 64, 64, ResizeMode.STRETCH, options).images[0]
    red, _, blue = filled.getpixel((32, 32))  # type: ignore[misc]
    assert blue > 200
    assert red < 40


def test_full_resolution_works_on_the_surroundings_of_the_mask_only() -> None:
    picture = Image.effect_noise((200, 100), 80).convert("RGB")
    mask = Image.new("L", (200, 100))
    mask.paste(255, (150, 40, 170, 60))
    options = MaskOptions(0, 0, True, False, True, 10, Fill.ORIGINAL)
    prepared = prepare([picture], mask, 64, 64, ResizeMode.STRETCH, options)
    assert prepared.box == (140, 30, 180, 70)
    assert prepared.images[0].size == (64, 64)
    finished = prepared.finish(0, Image.new("RGB", (64, 64), "red"))
    assert finished.getpixel((160, 50)) == (255, 0, 0)
    assert finished.crop((0, 0, 140, 100)).tobytes() == picture.crop((0, 0, 140, 100)).tobytes()


def test_prompts_lose_the_marks_that_only_larger_models_know() -> None:
    assert plain_words("(red:1.2) apple, [[big]] <lora:style:0.8>").split() == ["red", "apple,", "big"]


def test_a_plural_is_its_singular() -> None:
    tokenize = Tokenizer(["berry", "dog", "dress", "glasses"])
    words = tokenize(["dogs berries dresses glasses"]).words[0, :4].tolist()
    assert words == [FIRST_WORD + 1, FIRST_WORD, FIRST_WORD + 2, FIRST_WORD + 3]


@pytest.mark.parametrize(
    ("prompt", "meant"),
    [
        ("draw me a car", "draw me a automobile"),
        ("a police car", "a police car"),
        ("heart with arrow", "heart with arrow"),
        ("(a heart), on a table", "(a red heart), on a table"),
        ("Puppy", "dog"),
        ("a red apple", "a red apple"),
        ("an apple, 4k", "an red apple, 4k"),
        ("", ""),
    ],
)
def test_everyday_words_become_names_that_the_model_knows(prompt: str, meant: str) -> None:
    assert with_known_names(prompt) == meant


def test_unknown_words_keep_their_letters() -> None:
    tokenize = Tokenizer(["rocket", "dog"])
    tokens = tokenize(["a Dog", "rocketry", ""])
    assert tokens.words[0, :2].tolist() == [UNKNOWN_WORD, FIRST_WORD + 1]
    assert tokens.words[1, 0] == UNKNOWN_WORD
    shared = set(tokens.trigrams[1, 0]) & set(tokenize(["rocket"]).trigrams[0, 0]) - {0}
    assert len(shared) >= 4
    assert not tokens.words[2].any()


@settings(deadline=None)  # a busy machine is no fault
@given(st.text(max_size=2000))
def test_any_text_can_be_encoded(text: str) -> None:
    tokens = Tokenizer(["a"])([text])
    assert tokens.words.shape == (1, MAX_WORDS)
    assert tokens.words.min() >= 0


@pytest.mark.parametrize("scheduler", [scheduler.label for scheduler in SCHEDULERS])
@settings(deadline=None)  # a busy machine is no fault
@given(steps=st.integers(1, 150), strength=st.floats(0.01, 1))
def test_noise_levels_fall_from_the_strength_to_nothing(scheduler: str, steps: int, strength: float) -> None:
    levels = noise_levels(steps, scheduler, strength)
    assert levels[0] == pytest.approx(strength)
    assert levels[-1] == 0
    assert all(before > after for before, after in pairwise(levels))
    assert len(levels) <= steps + 1


@pytest.mark.parametrize("sampler", [sampler.name for sampler in SAMPLERS])
def test_every_sampler_ends_at_what_the_model_predicts(sampler: str) -> None:
    chance = np.random.default_rng(1)
    goal = chance.standard_normal((2, 8, 8, 8))
    steps = list(
        walk(
            sampler,
            noise_levels(6, "Uniform"),
            chance.standard_normal(goal.shape),
            lambda noisy, level: goal,
            lambda: chance.standard_normal(goal.shape),
        )
    )
    assert len(steps) == 6
    assert np.allclose(steps[-1].latent, goal)


def test_second_order_samplers_come_nearer_in_the_same_steps() -> None:
    # One-dimensional data with a known optimal prediction: normal, with a spread of a half.
    def predict(noisy: np.ndarray, level: float) -> np.ndarray:  # type: ignore[type-arg]
        share = (1 - level) * 0.25 / ((1 - level) ** 2 * 0.25 + level**2)
        return share * noisy

    start = np.array([1.3])

    def end(sampler: str, steps: int) -> float:
        return float(list(walk(sampler, noise_levels(steps, "Uniform"), start, predict, lambda: start))[-2].latent[0])

    exact = end("Euler", 150) - 0  # the last but one step of 150 lies next to the end
    coarse = {
        sampler: abs(
            float(list(walk(sampler, noise_levels(12, "Uniform"), start, predict, lambda: start))[-1].latent[0]) - exact
        )
        for sampler in ("Euler", "Heun")
    }
    assert coarse["Heun"] < coarse["Euler"]


def test_noise_between_two_noises_keeps_its_variance() -> None:
    chance = np.random.default_rng(2)
    one, other = chance.standard_normal((8, 8, 8)), chance.standard_normal((8, 8, 8))
    assert np.allclose(between(one, other, 0), one)
    assert np.allclose(between(one, other, 1), other)
    assert between(one, other, 0.5).std() == pytest.approx(1, abs=0.1)


def test_guidance_grows_with_the_scale() -> None:
    assert guidance(1) == 1
    assert 1 < guidance(4) < guidance(7) < guidance(20) == guidance(30)


@settings(deadline=None)  # a busy machine is no fault
@given(width=st.integers(8, 300), height=st.integers(8, 300))
def test_any_size_goes_into_the_model_and_comes_out_again(width: int, height: int) -> None:
    picture = Image.new("RGB", (width, height), (10, 200, 30))
    pixels = to_pixels(picture, 64)
    assert pixels.shape == (3, 64, 64)
    for contained in (True, False):
        back = to_picture(pixels, width, height, contained=contained)
        assert back.size == (width, height)
        assert max(abs(a - b) for a, b in zip(back.getpixel((4, 4)), (10, 200, 30), strict=True)) <= 2  # type: ignore[arg-type]

"""What makes the engine `diffusers` fast: decided as a value, compiled once, and never at the cost of a picture."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

import safetensors.torch  # noqa: E402
from diffusers import AutoencoderKL, UNet2DConditionModel  # noqa: E402
from transformers import CLIPTextConfig, CLIPTextModel  # noqa: E402

from darkroom.errors import InvalidRequest, ModelUnusable  # noqa: E402
from darkroom.inference.stable_diffusion.acceleration import (  # noqa: E402
    Acceleration,
    Capability,
    Compilation,
    accelerate,
)
from darkroom.inference.stable_diffusion.compiled import Compiled  # noqa: E402
from darkroom.inference.stable_diffusion.diffusion import Prompts, sample  # noqa: E402
from darkroom.inference.stable_diffusion.encoding import Conditioning  # noqa: E402
from darkroom.inference.stable_diffusion.engine import StableDiffusionEngine  # noqa: E402
from darkroom.inference.stable_diffusion.folders import ModelFolders  # noqa: E402
from darkroom.inference.stable_diffusion.host_cache import HostCache  # noqa: E402
from darkroom.inference.stable_diffusion.host_memory import free_memory  # noqa: E402
from darkroom.inference.stable_diffusion.loras import Loras  # noqa: E402
from darkroom.inference.stable_diffusion.networks import Networks, TextNetwork, build  # noqa: E402
from darkroom.inference.stable_diffusion.placement import Placed, Placement  # noqa: E402
from darkroom.inference.stable_diffusion.prompts import Lora  # noqa: E402
from darkroom.inference.stable_diffusion.samplers import plan  # noqa: E402
from darkroom.inference.stable_diffusion.warm_up import warm_up  # noqa: E402
from darkroom.inference.stable_diffusion.weights import Family, family_of  # noqa: E402

from . import tiny_checkpoints as tiny  # noqa: E402
from .tiny_generation import GENERATION  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # diffusers against the newest numpy

CPU = torch.device("cpu")
#: Compiles without writing C++, which takes minutes: dynamo traces, and its guards decide, just the same.
TRACED = Acceleration(torch.float32, {}, False, "default", None, backend="aot_eager")
EAGER = Acceleration(torch.float32, {}, False, None, None)
NEW_GPU = Capability(is_gpu=True, fast_bfloat16=True, has_triton=True, has_compiler=True)


class Silent:
    def step(self, done: int, total: int, preview: Any = None) -> bool:
        return True


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("models")
    for folder in ("Stable-diffusion", "Lora"):
        (root / folder).mkdir()
    for name, tensors in (("one", tiny.sd1(0)), ("other", tiny.sd1(5)), ("large", tiny.sdxl())):
        safetensors.torch.save_file(
            {key: value.contiguous() for key, value in tensors.items()},
            root / "Stable-diffusion" / f"{name}.safetensors",
        )
    safetensors.torch.save_file(tiny.lora(), root / "Lora" / "style.safetensors")
    return root


@pytest.fixture
def dynamo() -> Iterator[Any]:
    """torch's compiler, with nothing compiled before and nothing left behind."""
    import torch._dynamo as dynamo

    dynamo.reset()
    dynamo.utils.counters.clear()
    yield dynamo
    dynamo.reset()


def graphs(dynamo: Any) -> int:
    """How often something was compiled."""
    count: int = dynamo.utils.counters["stats"]["unique_graphs"]
    return count


def networks_of(tensors: tiny.Tensors) -> Networks:
    return build(tensors, family_of(tensors, "tiny"), "tiny", "0" * 64)


def opened(models: Path, acceleration: Acceleration, **more: Any) -> StableDiffusionEngine:
    engine = StableDiffusionEngine(models, CPU, acceleration, **more)
    engine.refresh()
    return engine


def load(engine: StableDiffusionEngine, name: str) -> None:
    engine.load(next(checkpoint for checkpoint in engine.checkpoints() if checkpoint.name == name))


def paint(engine: StableDiffusionEngine, **changes: Any) -> bytes:
    return engine.generate(replace(GENERATION, **changes), Silent())[0].tobytes()


def furthest(one: bytes, other: bytes) -> int:
    return max(abs(a - b) for a, b in zip(one, other, strict=True))


def test_a_new_gpu_gets_bfloat16_channels_last_and_cuda_graphs() -> None:
    chosen = accelerate(NEW_GPU, Compilation.AUTO)
    assert chosen.number_type is torch.bfloat16
    assert chosen.vae_type(Family.SDXL) is torch.bfloat16
    assert chosen.channels_last
    assert (chosen.unet_mode, chosen.vae_mode) == ("reduce-overhead", "default")


def test_a_gpu_without_bfloat16_spares_the_vae_that_overflows_in_float16() -> None:
    chosen = accelerate(replace(NEW_GPU, fast_bfloat16=False), Compilation.AUTO)
    assert chosen.number_type is torch.float16
    assert chosen.vae_type(Family.SDXL) is torch.float32
    assert chosen.vae_type(Family.SD1) is torch.float16


@pytest.mark.parametrize(
    ("capability", "compilation", "why_not"),
    [
        (NEW_GPU, Compilation.NEVER, "switched off"),
        (replace(NEW_GPU, has_triton=False), Compilation.AUTO, "triton"),
        (replace(NEW_GPU, has_compiler=False), Compilation.AUTO, "install gcc"),
        (Capability(is_gpu=False), Compilation.AUTO, "gains little"),
        (Capability(is_gpu=False), Compilation.ALWAYS, ""),
        (NEW_GPU, Compilation.AUTO, ""),
    ],
)
def test_networks_are_compiled_where_it_pays(capability: Capability, compilation: Compilation, why_not: str) -> None:
    chosen = accelerate(capability, compilation)
    assert (chosen.unet_mode is None) == (chosen.vae_mode is None) == bool(why_not)
    assert why_not in chosen.why_not


def test_the_cpu_computes_in_32_bits() -> None:
    assert accelerate(Capability(is_gpu=False), Compilation.AUTO).number_type is torch.float32


def test_inductor_compiles_and_gives_the_same_numbers(dynamo: Any) -> None:
    """The real compiler, C++ and all, over a block as the UNet has them."""
    torch.manual_seed(0)
    block = torch.nn.Sequential(
        torch.nn.Conv2d(4, 32, 3, padding=1), torch.nn.GroupNorm(8, 32), torch.nn.SiLU(), torch.nn.Conv2d(32, 4, 1)
    )
    block.requires_grad_(False)
    compiled = Compiled("block", block, "default", "inductor")
    fed = torch.randn(2, 4, 16, 16)
    assert torch.allclose(compiled(fed), block(fed), atol=1e-5)
    assert compiled.compiles
    assert graphs(dynamo) == 1


def small(seed: int) -> Networks:
    """Networks of one block each: to trace a UNet of the usual depth takes half a minute."""
    torch.manual_seed(seed)
    unet = UNet2DConditionModel(
        block_out_channels=(32,),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D",),
        up_block_types=("CrossAttnUpBlock2D",),
        mid_block_type=None,
        attention_head_dim=2,
        norm_num_groups=8,
        cross_attention_dim=tiny.TEXT,
    )
    vae = AutoencoderKL(latent_channels=4, block_out_channels=(16,), norm_num_groups=8)
    text = CLIPTextModel(
        CLIPTextConfig(hidden_size=tiny.TEXT, intermediate_size=64, num_hidden_layers=1, num_attention_heads=1)
    )
    networks = Networks(Family.SD1, unet, vae, [TextNetwork(text, 49407)], "epsilon", f"{seed:064}")
    for module in networks.modules():
        module.eval().requires_grad_(False)
    return networks


def drawn(placed: Placed, **changes: Any) -> bytes:
    generation = replace(GENERATION, **changes)
    words = torch.linspace(-1, 1, 2 * 77 * tiny.TEXT).reshape(2, 77, tiny.TEXT)
    prompts = Prompts(placed, Conditioning(words[:1], None), Conditioning(words[1:], None))
    walk = plan(generation.sampler, generation.scheduler, generation.steps, generation.eta)
    with torch.no_grad():
        return sample(prompts, walk, generation, Silent())[0].tobytes()


def test_the_same_pictures_compiled_and_nothing_is_compiled_twice(dynamo: Any) -> None:
    networks = small(0)
    plain, traced = Placement(CPU, EAGER).place(networks), Placement(CPU, TRACED).place(networks)
    warm_up(traced, TRACED, side=16)
    assert graphs(dynamo) == 1  # before anybody has asked

    assert furthest(drawn(traced), drawn(plain)) <= 2
    every_size = graphs(dynamo)
    assert every_size == 2  # the second size: once more, and for every size
    for changes in (
        {"seeds": (7,)},
        {"steps": 5},
        {"sampler": "DPM++ 2M Karras"},
        {"cfg_scale": 3},
        {"width": 128},
        {"width": 192, "height": 128},
    ):
        assert furthest(drawn(traced, **changes), drawn(plain, **changes)) <= 2, changes
    assert isinstance(traced.predict, Compiled)
    assert traced.predict.compiles  # nothing went wrong meanwhile
    assert graphs(dynamo) == every_size


@pytest.mark.parametrize("copies", [True, False])
def test_a_switch_between_models_of_one_shape_compiles_nothing(dynamo: Any, copies: bool) -> None:
    placement = Placement(CPU, TRACED, copies=copies)
    one, other = small(0), small(5)
    first = drawn(placement.place(one))
    before = graphs(dynamo)
    assert drawn(placement.place(other)) != first
    assert drawn(placement.place(one)) == first
    assert graphs(dynamo) == before


def test_a_lora_compiles_nothing(models: Path, dynamo: Any) -> None:
    make = tiny.Maker(3)
    name = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"
    make.put(f"{name}.lora_down.weight", 2, 32)
    make.put(f"{name}.lora_up.weight", 32, 2)
    make.tensors[f"{name}.alpha"] = torch.tensor(2.0)
    safetensors.torch.save_file(make.tensors, models / "Lora" / "small.safetensors")
    placed = Placement(CPU, TRACED).place(small(0))
    loras = Loras(ModelFolders(models))
    weights = placed.networks.unet.state_dict()
    addresses = [weight.data_ptr() for weight in weights.values()]
    plain = drawn(placed)
    before = graphs(dynamo)
    loras.apply(placed.networks, (Lora("small", 1),))
    styled = drawn(placed)
    assert styled != plain
    loras.apply(placed.networks, (Lora("small", 0.5),))
    assert drawn(placed) not in (plain, styled)
    assert [weight.data_ptr() for weight in placed.networks.unet.state_dict().values()] == addresses
    loras.apply(placed.networks, ())
    assert drawn(placed) == plain
    assert graphs(dynamo) == before


def test_a_network_that_cannot_be_compiled_runs_as_it_is(dynamo: Any, caplog: pytest.LogCaptureFixture) -> None:
    def refuse(graph: Any, inputs: Any) -> Any:
        raise RuntimeError("no compiler here")

    dynamo.register_backend(refuse, name="refusing")
    networks = small(0)
    plain = Placement(CPU, EAGER).place(networks)
    refused = replace(TRACED, backend="refusing")
    placed = Placement(CPU, refused).place(networks)
    with caplog.at_level(logging.WARNING, "darkroom"):
        warm_up(placed, refused, side=16)
        assert drawn(placed) == drawn(plain)
    said = [text for record in caplog.records if "cannot be compiled" in (text := record.getMessage())]
    assert len(said) == 1  # not once more at every step
    assert "no compiler here" in said[0]


def test_a_request_with_the_loras_of_the_one_before_reads_no_file(models: Path) -> None:
    engine = opened(models, EAGER)
    load(engine, "one")
    styled = paint(engine, prompts=("a cat<lora:style:1>",))
    file = models / "Lora" / "style.safetensors"
    content, read_at = file.read_bytes(), file.stat().st_mtime_ns
    file.write_bytes(b"broken")
    os.utime(file, ns=(read_at, read_at))
    assert paint(engine, prompts=("a cat<lora:style:1>",)) == styled
    with pytest.raises(ModelUnusable):
        paint(engine, prompts=("a cat<lora:style:0.5>",))
    file.write_bytes(content)
    assert paint(engine, prompts=("a cat<lora:style:1>",)) == styled


def test_prompts_are_encoded_once(models: Path) -> None:
    engine = opened(models, EAGER)
    load(engine, "one")
    first = paint(engine)
    calls = []
    text = engine._placed_now().networks.texts[0].network
    text.register_forward_hook(lambda *_: calls.append(1))
    assert paint(engine) == first
    paint(engine, seeds=(3,), steps=2)
    assert calls == []
    paint(engine, prompts=("a dog",))
    assert len(calls) == 1
    batch = {"seeds": (1, 2), "subseeds": (3, 4), "prompts": ("a fox",) * 2, "negative_prompts": ("",) * 2}
    rows: list[int] = []
    text.register_forward_hook(lambda module, given, result: rows.append(len(given[0])))
    paint(engine, **batch)
    assert rows == [2]  # the prompt and the negative one, not each for each picture


def test_copies_on_the_device_keep_their_addresses() -> None:
    """What a GPU does, on the CPU: a checkpoint of the same shape comes into the place of the one before."""
    placement = Placement(CPU, EAGER, copies=True)
    one, other = networks_of(tiny.sd1(0)), networks_of(tiny.sd1(5))
    first = placement.place(one)
    addresses = [parameter.data_ptr() for parameter in first.networks.unet.parameters()]
    second = placement.place(other)
    assert [parameter.data_ptr() for parameter in second.networks.unet.parameters()] == addresses
    assert second.predict is first.predict
    for here, there in zip(other.unet.parameters(), second.networks.unet.parameters(), strict=True):
        assert torch.equal(here, there)
        assert here.data_ptr() != there.data_ptr()
    large = placement.place(networks_of(tiny.sdxl()))
    assert large.networks.family is Family.SDXL
    again = placement.place(one)
    assert again.predict is first.predict
    assert torch.equal(next(again.networks.unet.parameters()), next(one.unet.parameters()))


def test_copied_networks_make_the_same_pictures_as_the_ones_on_the_host(models: Path) -> None:
    copied = opened(models, EAGER, placement=Placement(CPU, EAGER, copies=True))
    plain = opened(models, EAGER)
    for name in ("one", "large", "other", "one"):
        load(copied, name)
        load(plain, name)
        assert paint(copied) == paint(plain)
        if name != "large":
            styled = {"prompts": ("a cat<lora:style:1>",)}
            assert paint(copied, **styled) == paint(plain, **styled)


class Full(Placement):
    """A device without room for XL, or for large pictures: it says so as CUDA does."""

    def _place(self, networks: Networks, role: str) -> Any:
        if networks.family is Family.SDXL:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        placed = super()._place(networks, role)

        def predict(fed: torch.Tensor, *arguments: Any, **named: Any) -> Any:
            if fed.shape[-1] > 16:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9.00 GiB")
            return placed.predict(fed, *arguments, **named)

        return replace(placed, predict=predict)


def test_what_does_not_fit_is_a_clear_error_and_the_engine_goes_on(models: Path) -> None:
    engine = opened(models, EAGER, placement=Full(CPU, EAGER))
    load(engine, "one")
    before = paint(engine)
    with pytest.raises(ModelUnusable, match="too large for the device's memory; take a smaller one"):
        load(engine, "large")
    assert paint(engine) == before
    with pytest.raises(InvalidRequest, match="256x64 with a batch of 1 does not fit into the device's memory"):
        paint(engine, width=256)
    assert paint(engine) == before
    loaded = engine.loaded()
    assert loaded is not None
    assert loaded.name == "one"


def test_the_host_keeps_the_models_used_last_and_fewer_where_memory_is_short(models: Path) -> None:
    folder = models / "Stable-diffusion"
    one, other, large = (folder / f"{name}.safetensors" for name in ("one", "other", "large"))
    free, gone = [2**40], []
    cache = HostCache(EAGER, 2, lambda networks: gone.append(networks.family), lambda: free[0])
    for file in (one, other, one, large):
        cache.get(file, in_use=one)
        cache.trim(one)
    assert cache.files() == [one, large]
    assert gone == [Family.SD1]
    free[0] = 0
    cache.get(other, in_use=one)  # the other kept one goes first; what is in use stays, whatever is needed
    assert cache.files() == [one, other]
    assert gone == [Family.SD1, Family.SDXL]


def test_memory_that_is_free_is_what_the_container_may_still_take(tmp_path: Path) -> None:
    assert free_memory() > 0
    assert free_memory(tmp_path) > 2**60  # nothing tells: trying is the only way to know
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "meminfo").write_text("MemTotal:  9000 kB\nMemFree:  10 kB\nMemAvailable:    4000 kB\n")
    assert free_memory(tmp_path) == 4000 * 1024
    group = tmp_path / "sys" / "fs" / "cgroup"
    group.mkdir(parents=True)
    for name, text in (
        ("memory.max", "max"),
        ("memory.current", "1000000"),
        ("memory.stat", "anon 5\ninactive_file 300000\n"),
    ):
        (group / name).write_text(text)
    assert free_memory(tmp_path) == 4000 * 1024
    (group / "memory.max").write_text("2000000\n")
    assert free_memory(tmp_path) == 1_300_000
    (group / "memory.max").write_text("500000\n")
    assert free_memory(tmp_path) == 0

"""Tiny random checkpoints in the real layout: Stable Diffusion's names and proportions, narrow networks."""

from __future__ import annotations

import torch

Tensors = dict[str, torch.Tensor]

WIDTH = 32
TEXT = 64
VAE_WIDTH = 32
VOCABULARY = 49408


class Maker:
    """Collects random tensors under the names that real checkpoints use."""

    def __init__(self, seed: int) -> None:
        self.tensors: Tensors = {}
        self._chance = torch.Generator().manual_seed(seed)

    def put(self, name: str, *shape: int, scale: float | None = None) -> None:
        fan_in = 1
        for size in shape[1:]:
            fan_in *= size
        spread = scale if scale is not None else 0.7 / max(1, fan_in) ** 0.5
        self.tensors[name] = torch.randn(shape, generator=self._chance) * spread

    def layer(self, name: str, out: int, into: int, *kernel: int, bias: bool = True) -> None:
        self.put(f"{name}.weight", out, into, *kernel)
        if bias:
            self.put(f"{name}.bias", out, scale=0.01)

    def norm(self, name: str, width: int) -> None:
        self.tensors[f"{name}.weight"] = torch.ones(width)
        self.tensors[f"{name}.bias"] = torch.zeros(width)


def unet(
    make: Maker,
    words: int,
    depths: tuple[int, ...],
    multiples: tuple[int, ...],
    linear: bool,
    middle: int | None = None,
) -> None:
    prefix, time = "model.diffusion_model.", 4 * WIDTH

    def residual(name: str, into: int, out: int) -> None:
        make.norm(f"{name}.in_layers.0", into)
        make.layer(f"{name}.in_layers.2", out, into, 3, 3)
        make.layer(f"{name}.emb_layers.1", out, time)
        make.norm(f"{name}.out_layers.0", out)
        make.layer(f"{name}.out_layers.3", out, out, 3, 3)
        if into != out:
            make.layer(f"{name}.skip_connection", out, into, 1, 1)

    def transformer(name: str, width: int, depth: int) -> None:
        make.norm(f"{name}.norm", width)
        kernel = () if linear else (1, 1)
        make.layer(f"{name}.proj_in", width, width, *kernel)
        make.layer(f"{name}.proj_out", width, width, *kernel)
        for index in range(depth):
            block = f"{name}.transformer_blocks.{index}"
            for attention, source in (("attn1", width), ("attn2", words)):
                make.layer(f"{block}.{attention}.to_q", width, width, bias=False)
                make.layer(f"{block}.{attention}.to_k", width, source, bias=False)
                make.layer(f"{block}.{attention}.to_v", width, source, bias=False)
                make.layer(f"{block}.{attention}.to_out.0", width, width)
            make.layer(f"{block}.ff.net.0.proj", 8 * width, width)
            make.layer(f"{block}.ff.net.2", width, 4 * width)
            for number in (1, 2, 3):
                make.norm(f"{block}.norm{number}", width)

    make.layer(f"{prefix}time_embed.0", time, WIDTH)
    make.layer(f"{prefix}time_embed.2", time, time)
    make.layer(f"{prefix}input_blocks.0.0", WIDTH, 4, 3, 3)
    block, width, widths = 1, WIDTH, [WIDTH]
    for level, multiple in enumerate(multiples):
        for _ in range(2):
            residual(f"{prefix}input_blocks.{block}.0", width, WIDTH * multiple)
            width = WIDTH * multiple
            if depths[level]:
                transformer(f"{prefix}input_blocks.{block}.1", width, depths[level])
            widths.append(width)
            block += 1
        if level < len(multiples) - 1:
            make.layer(f"{prefix}input_blocks.{block}.0.op", width, width, 3, 3)
            widths.append(width)
            block += 1
    middle = middle or depths[-1] or 1
    residual(f"{prefix}middle_block.0", width, width)
    transformer(f"{prefix}middle_block.1", width, middle)
    residual(f"{prefix}middle_block.2", width, width)
    block = 0
    for level in reversed(range(len(multiples))):
        for index in range(3):
            residual(f"{prefix}output_blocks.{block}.0", width + widths.pop(), WIDTH * multiples[level])
            width = WIDTH * multiples[level]
            if depths[level]:
                transformer(f"{prefix}output_blocks.{block}.1", width, depths[level])
            if index == 2 and level > 0:
                place = 2 if depths[level] else 1
                make.layer(f"{prefix}output_blocks.{block}.{place}.conv", width, width, 3, 3)
            block += 1
    make.norm(f"{prefix}out.0", WIDTH)
    make.layer(f"{prefix}out.2", 4, WIDTH, 3, 3)


def vae(make: Maker, prefix: str = "first_stage_model.") -> None:
    def residual(name: str, into: int, out: int) -> None:
        make.norm(f"{name}.norm1", into)
        make.layer(f"{name}.conv1", out, into, 3, 3)
        make.norm(f"{name}.norm2", out)
        make.layer(f"{name}.conv2", out, out, 3, 3)
        if into != out:
            make.layer(f"{name}.nin_shortcut", out, into, 1, 1)

    def middle(name: str, width: int) -> None:
        residual(f"{name}.mid.block_1", width, width)
        make.norm(f"{name}.mid.attn_1.norm", width)
        for part in ("q", "k", "v", "proj_out"):
            make.layer(f"{name}.mid.attn_1.{part}", width, width, 1, 1)
        residual(f"{name}.mid.block_2", width, width)

    widths = [VAE_WIDTH * multiple for multiple in (1, 2, 4, 4)]
    encoder, decoder = f"{prefix}encoder", f"{prefix}decoder"
    make.layer(f"{encoder}.conv_in", VAE_WIDTH, 3, 3, 3)
    width = VAE_WIDTH
    for level, out in enumerate(widths):
        for index in range(2):
            residual(f"{encoder}.down.{level}.block.{index}", width, out)
            width = out
        if level < 3:
            make.layer(f"{encoder}.down.{level}.downsample.conv", width, width, 3, 3)
    middle(encoder, width)
    make.norm(f"{encoder}.norm_out", width)
    make.layer(f"{encoder}.conv_out", 8, width, 3, 3)
    make.layer(f"{decoder}.conv_in", width, 4, 3, 3)
    middle(decoder, width)
    for level in reversed(range(4)):
        for index in range(3):
            residual(f"{decoder}.up.{level}.block.{index}", width, widths[level])
            width = widths[level]
        if level > 0:
            make.layer(f"{decoder}.up.{level}.upsample.conv", width, width, 3, 3)
    make.norm(f"{decoder}.norm_out", width)
    make.layer(f"{decoder}.conv_out", 3, width, 3, 3)
    make.layer(f"{prefix}quant_conv", 8, 8, 1, 1)
    make.layer(f"{prefix}post_quant_conv", 4, 4, 1, 1)


def clip(make: Maker, prefix: str, layers: int = 2) -> None:
    name = f"{prefix}text_model."
    make.put(f"{name}embeddings.token_embedding.weight", VOCABULARY, TEXT, scale=0.5)
    make.put(f"{name}embeddings.position_embedding.weight", 77, TEXT, scale=0.1)
    make.tensors[f"{name}embeddings.position_ids"] = torch.arange(77)[None]
    for index in range(layers):
        layer = f"{name}encoder.layers.{index}"
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            make.layer(f"{layer}.self_attn.{part}", TEXT, TEXT)
        make.norm(f"{layer}.layer_norm1", TEXT)
        make.norm(f"{layer}.layer_norm2", TEXT)
        make.layer(f"{layer}.mlp.fc1", 4 * TEXT, TEXT)
        make.layer(f"{layer}.mlp.fc2", TEXT, 4 * TEXT)
    make.norm(f"{name}final_layer_norm", TEXT)


def open_clip(make: Maker, prefix: str, layers: int = 3) -> None:
    make.put(f"{prefix}token_embedding.weight", VOCABULARY, TEXT, scale=0.5)
    make.put(f"{prefix}positional_embedding", 77, TEXT, scale=0.1)
    make.put(f"{prefix}text_projection", TEXT, TEXT)
    make.put(f"{prefix}logit_scale", 1)
    for index in range(layers):
        block = f"{prefix}transformer.resblocks.{index}"
        make.put(f"{block}.attn.in_proj_weight", 3 * TEXT, TEXT)
        make.put(f"{block}.attn.in_proj_bias", 3 * TEXT, scale=0.01)
        make.layer(f"{block}.attn.out_proj", TEXT, TEXT)
        make.norm(f"{block}.ln_1", TEXT)
        make.norm(f"{block}.ln_2", TEXT)
        make.layer(f"{block}.mlp.c_fc", 4 * TEXT, TEXT)
        make.layer(f"{block}.mlp.c_proj", TEXT, 4 * TEXT)
    make.norm(f"{prefix}ln_final", TEXT)


def sd1(seed: int = 0) -> Tensors:
    make = Maker(seed)
    unet(make, TEXT, (1, 1, 1, 0), (1, 2, 4, 4), linear=False)
    vae(make)
    clip(make, "cond_stage_model.transformer.")
    return make.tensors


def sd2(seed: int = 0) -> Tensors:
    make = Maker(seed)
    unet(make, TEXT, (1, 1, 1, 0), (1, 2, 4, 4), linear=True)
    vae(make)
    open_clip(make, "cond_stage_model.model.")
    return make.tensors


def sdxl(seed: int = 0) -> Tensors:
    make = Maker(seed)
    unet(make, 2 * TEXT, (0, 1, 2), (1, 2, 4), linear=True)
    time = 4 * WIDTH
    make.layer("model.diffusion_model.label_emb.0.0", time, TEXT + 6 * 256)
    make.layer("model.diffusion_model.label_emb.0.2", time, time)
    vae(make)
    clip(make, "conditioner.embedders.0.transformer.")
    open_clip(make, "conditioner.embedders.1.model.")
    return make.tensors


def refiner(seed: int = 0) -> Tensors:
    make = Maker(seed)
    unet(make, TEXT, (0, 2, 2, 0), (1, 2, 4, 4), linear=True, middle=2)
    time = 4 * WIDTH
    make.layer("model.diffusion_model.label_emb.0.0", time, TEXT + 5 * 256)
    make.layer("model.diffusion_model.label_emb.0.2", time, time)
    vae(make)
    open_clip(make, "conditioner.embedders.0.model.")
    return make.tensors


def with_channels(tensors: Tensors, channels: int) -> Tensors:
    """The same checkpoint, its UNet taking more channels: 9 are those made for inpainting."""
    name = "model.diffusion_model.input_blocks.0.0.weight"
    make = Maker(channels)
    make.put(name, WIDTH, channels, 3, 3)
    make.tensors[name][:, :4] = tensors[name]
    return {**tensors, **make.tensors}


def lora(seed: int = 0, rank: int = 2) -> Tensors:
    """In the layout of kohya's trainer, which most LoRAs have."""
    make = Maker(seed)
    for block, width in (("down_blocks_0_attentions_0", WIDTH), ("mid_block_attentions_0", 4 * WIDTH)):
        name = f"lora_unet_{block}_transformer_blocks_0_attn1_to_q"
        make.put(f"{name}.lora_down.weight", rank, width, scale=0.5)
        make.put(f"{name}.lora_up.weight", width, rank, scale=0.5)
        make.tensors[f"{name}.alpha"] = torch.tensor(float(rank))
    return make.tensors

"""Writes the trained networks as ONNX graphs with 8-bit weights into the package.

Weights of matrices are stored as int8 with one scale for each output, and turned into float32 when the graph is
loaded: the file is a quarter of the size, arithmetic stays float32.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import torch
from networks import Decoder, Encoder
from onnx import TensorProto, helper, numpy_helper
from torch import nn
from train_denoiser import Generator

from darkroom.inference.pocket.network import GRAPHS, VOCABULARY, weights_hash
from darkroom.inference.pocket.tokens import MAX_TRIGRAMS, MAX_WORDS

PACKAGE = Path("src/darkroom/inference/pocket/weights")
SMALLEST_QUANTISED = 4096


def export(module: nn.Module, inputs: dict[str, torch.Tensor], output: str, path: Path) -> None:
    """One network as a graph whose first dimension is free."""
    module.eval()
    torch.onnx.export(
        module,
        tuple(inputs.values()),
        str(path),
        input_names=list(inputs),
        output_names=[output],
        dynamic_axes={name: {0: "n"} for name in [*inputs, output]},
        opset_version=17,
        dynamo=False,
    )


def store_as_int8(path: Path) -> None:
    """Replace the large weights of a graph by int8 ones and their scales."""
    model = onnx.load(path)
    graph = model.graph
    kept, nodes = [], []
    # The axis that counts outputs: a convolution's and a Gemm's (transposed) weights have it first.
    axes = {}
    for node in graph.node:
        for name in node.input[1:2]:
            transposed = node.op_type == "Gemm" and any(a.name == "transB" and a.i for a in node.attribute)
            axes[name] = 0 if node.op_type == "Conv" or transposed else -1
        if node.op_type == "Gather":
            axes[node.input[0]] = 0
    for weight in graph.initializer:
        values = numpy_helper.to_array(weight)
        if values.dtype != np.float32 or values.size < SMALLEST_QUANTISED or values.ndim < 2:
            kept.append(weight)
            continue
        axis = axes.get(weight.name, -1) % values.ndim
        scales = np.abs(values).max(axis=tuple(i for i in range(values.ndim) if i != axis)) / 127
        scales = np.where(scales == 0, 1, scales).astype(np.float32)
        shape = [-1 if i == axis else 1 for i in range(values.ndim)]
        quantised = np.clip(np.round(values / scales.reshape(shape)), -127, 127).astype(np.int8)
        kept += [
            numpy_helper.from_array(quantised, f"{weight.name}_int8"),
            numpy_helper.from_array(scales, f"{weight.name}_scale"),
            helper.make_tensor(f"{weight.name}_zero", TensorProto.INT8, [len(scales)], [0] * len(scales)),
        ]
        nodes.append(
            helper.make_node(
                "DequantizeLinear",
                [f"{weight.name}_int8", f"{weight.name}_scale", f"{weight.name}_zero"],
                [weight.name],
                axis=axis,
            )
        )
    del graph.initializer[:]
    graph.initializer.extend(kept)
    for index, node in enumerate(nodes):
        graph.node.insert(index, node)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def main() -> None:
    """Export all four networks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("models/pocket/work"))
    parser.add_argument("--package", type=Path, default=PACKAGE)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    work, package = arguments.work, arguments.package
    package.mkdir(parents=True, exist_ok=True)
    words = json.loads((work / "vocabulary.json").read_text())
    pictures = torch.load(work / "autoencoder.pt")
    encoder, decoder = Encoder(), Decoder()
    encoder.load_state_dict(pictures["encoder"])
    decoder.load_state_dict(pictures["decoder"])
    state = torch.load(work / "denoiser.pt")
    model = Generator(len(words))
    model.load_state_dict(state["average"])

    n = 2
    latent = torch.randn(n, 8, 8, 8)
    ids = torch.zeros(n, MAX_WORDS, dtype=torch.long)
    ids[:, :3] = 5
    trigrams = torch.zeros(n, MAX_WORDS, MAX_TRIGRAMS, dtype=torch.long)
    trigrams[:, :3, :4] = 7
    export(model.text, {"words": ids, "trigrams": trigrams}, "caption", package / GRAPHS["text"])
    export(
        model.denoiser,
        {
            "noisy": latent,
            "time": torch.rand(n),
            "caption": torch.randn(n, 512),
            "layout": torch.randn(n, 6),
            "known": torch.ones(n, 1),
        },
        "clean",
        package / GRAPHS["denoiser"],
    )
    export(encoder, {"picture": torch.randn(n, 3, 64, 64)}, "latent", package / GRAPHS["encoder"])
    export(decoder, {"latent": latent}, "picture", package / GRAPHS["decoder"])
    for graph in package.glob("*.onnx"):
        store_as_int8(graph)
    shutil.copy(work / "vocabulary.json", package / VOCABULARY)
    size = sum(file.stat().st_size for file in package.iterdir())
    print(f"step {state['steps']}: {size / 2**20:.2f} MiB in {package}, sha256 {weights_hash(package)}")


if __name__ == "__main__":
    main()

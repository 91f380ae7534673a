"""Seconds of PyTorch and onnxruntime to encode 8 images with a ViT-B/16 of random weights, beside mused.

    python bench/clip_pytorch.py FOLDER                    # makes the model, the reference and the ONNX graph
    python bench/clip_pytorch.py FOLDER --bench BINARY     # alternates the three; BINARY is the example `clip-bench`

Two threads each, f32. Where the machine does other work, processor time says more than the clock (onnxruntime and
PyTorch spin while they wait, which counts). Needs torch, transformers, safetensors, onnxruntime and (to make the model) onnx.
"""

import argparse
import statistics
import subprocess
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from transformers import CLIPConfig, CLIPModel

THREADS = 2


class Image(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.vision, self.projection = model.vision_model, model.visual_projection

    def forward(self, pixel_values):
        return self.projection(self.vision(pixel_values).pooler_output)


def make(folder, batch):
    torch.manual_seed(0)
    config = CLIPConfig(vision_config={"patch_size": 16}, text_config={"num_hidden_layers": 1})
    # The weights' own initialisation leaves activations tiny: larger ones exercise every layer.
    model = CLIPModel(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(2.0)
    model.save_pretrained(folder)
    pixels = torch.randn(batch, 3, 224, 224)
    with torch.inference_mode():
        embeds = Image(model)(pixels)
    save_file({"pixel_values": pixels, "image_embeds": embeds}, folder / "reference.safetensors")
    torch.onnx.export(Image(model), (pixels,), folder / "image.onnx", input_names=["pixel_values"], dynamo=False)


def bench(folder, binary, rounds):
    import onnxruntime

    torch.set_num_threads(THREADS)
    pixels = load_file(folder / "reference.safetensors")["pixel_values"]
    model = Image(CLIPModel.from_pretrained(folder).eval())
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    session = onnxruntime.InferenceSession(folder / "image.onnx", options, providers=["CPUExecutionProvider"])
    inputs = {"pixel_values": pixels.numpy()}

    def pytorch():
        with torch.inference_mode():
            model(pixels)

    def clock(run):
        run()
        times, processor = [], time.process_time()
        for _ in range(3):
            start = time.perf_counter()
            run()
            times.append(time.perf_counter() - start)
        return times, (time.process_time() - processor) / 3

    times = {"pytorch": [], "onnxruntime": [], "mused": []}
    processor = {name: [] for name in times}

    def record(name, outcome):
        times[name] += outcome[0]
        processor[name].append(outcome[1])

    for _ in range(rounds):
        record("pytorch", clock(pytorch))
        record("onnxruntime", clock(lambda: session.run(None, inputs)))
        line = subprocess.run([binary, folder, "3"], capture_output=True, text=True, check=True).stdout
        runs = [float(t) for t in line.split("[")[1].rstrip("]\n").split(",")]
        record("mused", (runs, float(line.split(" s, ")[1].split()[0])))
    for name, values in times.items():
        cpu = statistics.median(processor[name])
        print(
            f"{name:12} median {statistics.median(values):.3f} s  smallest {min(values):.3f} s  of {len(values)},"
            f"  processor time a run {cpu:.3f} s"
        )
    print("torch", torch.__version__, "onnxruntime", onnxruntime.__version__, "numpy", np.__version__)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--bench")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=4)
    arguments = parser.parse_args()
    if arguments.bench:
        bench(arguments.folder, arguments.bench, arguments.rounds)
    else:
        make(arguments.folder, arguments.batch)


if __name__ == "__main__":
    main()

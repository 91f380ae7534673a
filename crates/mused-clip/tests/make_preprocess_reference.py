"""What transformers makes of settings of CLIP's image processor, for `tests/preprocess.rs`.

    python make_preprocess_reference.py > fixtures/preprocess.tsv

A line is an image of `fixtures`, the settings, and every 97th of the pixel values that CLIPImageProcessorPil gives.
Made with transformers 5.24 and Pillow 13.0.
"""

import json
import sys
from pathlib import Path

from PIL import Image
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

SIDE = {"height": 24, "width": 24}
SETTINGS = [
    {"size": {"shortest_edge": 24}, "crop_size": SIDE},
    {"size": 24, "crop_size": 24},
    {"size": {"shortest_edge": 30}, "crop_size": 24},
    {"size": [26, 32], "crop_size": [24, 24]},
    {"size": {"height": 40, "width": 28}, "crop_size": SIDE},
    {"size": SIDE, "do_center_crop": False},
    {"size": SIDE, "do_center_crop": False, "crop_size": {"height": 30, "width": 28}},
    {"size": 24, "crop_size": 24, "do_normalize": False},
    {"size": 24, "crop_size": 24, "do_rescale": False},
    {"size": 24, "crop_size": 24, "do_rescale": False, "do_normalize": False},
    {"size": 24, "crop_size": 24, "rescale_factor": 1 / 127.5},
    {"size": 24, "crop_size": 24, "image_mean": [0.5, 0.4, 0.3], "image_std": [0.5, 0.25, 2.0]},
    {"size": 24, "crop_size": 24, "image_mean": 0.5, "image_std": 0.5},
]


def main():
    fixtures = Path(__file__).parent / "fixtures"
    for name in ["tall.png", "gray.png", "wide.png"]:
        image = Image.open(fixtures / name)
        for settings in SETTINGS:
            pixels = CLIPImageProcessorPil(**settings)(image, return_tensors="np")["pixel_values"]
            assert pixels.shape == (1, 3, 24, 24), pixels.shape
            values = [f"{value:.7g}" for value in pixels.ravel()[::97]]
            print(name, json.dumps(settings), " ".join(values), sep="\t")
    sys.stdout.flush()


main()

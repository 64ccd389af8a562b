"""A CLIP model from a local folder: pictures and prompts to vectors, the same in any batch."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bakeoff.evaluators.metric import Images

# Imported where a network runs: a metric must describe itself without waiting seconds for them.
if TYPE_CHECKING:
    from torch import Tensor
    from transformers import CLIPModel, CLIPTokenizer

BATCH = 8  # rows of every network call; short chunks are filled up with zeros
# OpenAI's CLIP, used when the folder has no preprocessor_config.json.
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


class ClipEncoder:
    """The two towers of a CLIP model in transformers' layout (weights, tokenizer, configuration).

    Runs in float32 with eager attention, and every network call has the same shape: kernels may
    round differently at another batch size, so a short chunk is padded instead of sent short.
    Pictures are resized (bicubic, shorter edge to the model's image size), centre-cropped, scaled
    to [0, 1] and normalised with the folder's mean and standard deviation. Prompts are padded, and
    cut, to the model's context length.

    Raises:
        ValueError: the folder holds no CLIP model.
    """

    def __init__(self, folder: Path, device: str = "cpu") -> None:
        self.folder = Path(folder)
        for name in ("config.json", "model.safetensors"):
            if not (self.folder / name).is_file():
                raise ValueError(f"CLIP folder {str(self.folder)!r} has no {name}")
        self.device = device
        config = json.loads((self.folder / "config.json").read_text(encoding="utf-8"))
        self.image_size: int = config["vision_config"]["image_size"]
        self.context_length: int = config["text_config"]["max_position_embeddings"]
        self.mean, self.std = self._normalisation()
        self._text_vectors: dict[str, NDArray[np.float64]] = {}

    @cached_property
    def weights_hash(self) -> str:
        """Return the SHA-256 of the weight file, in hex."""
        with open(self.folder / "model.safetensors", "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    @property
    def preprocessing(self) -> str:
        """Return the path from picture to network input in one sentence."""
        mean, std = (", ".join(f"{x:.4g}" for x in values) for values in (self.mean, self.std))
        return (
            f"bicubic resize of the shorter edge to {self.image_size}, centre crop, "
            f"scale to [0, 1], mean ({mean}), standard deviation ({std}); "
            f"prompts cut at {self.context_length} tokens"
        )

    def images(self, images: Images) -> NDArray[np.float64]:
        """Return the projected picture vectors [B, D] of pictures [B, H, W, 3], not normalised."""
        pixels = [self._pixels(image) for image in images]
        vectors = [
            self._model.visual_projection(self._model.vision_model(batch).pooler_output)[:rows]
            for batch, rows in self._batches(pixels)
        ]
        return self._stacked(vectors)

    def texts(self, prompts: Sequence[str]) -> NDArray[np.float64]:
        """Return the projected prompt vectors [B, D]; each distinct prompt is encoded once."""
        new = [text for text in dict.fromkeys(prompts) if text not in self._text_vectors]
        if new:
            tokens = self._tokenizer(
                new,
                padding="max_length",
                truncation=True,
                max_length=self.context_length,
                return_tensors="pt",
            ).input_ids
            vectors = [
                self._model.text_projection(self._model.text_model(batch).pooler_output)[:rows]
                for batch, rows in self._batches(list(tokens))
            ]
            self._text_vectors.update(zip(new, self._stacked(vectors), strict=True))
        if not prompts:
            return self._stacked([])
        return np.stack([self._text_vectors[prompt] for prompt in prompts])

    @cached_property
    def _model(self) -> "CLIPModel":
        import torch
        from transformers import CLIPModel
        from transformers.utils import logging

        logging.disable_progress_bar()  # it would run across the study's own progress
        model = CLIPModel.from_pretrained(
            self.folder,
            local_files_only=True,
            use_safetensors=True,
            attn_implementation="eager",
            dtype=torch.float32,
        )
        return model.requires_grad_(False).eval().to(self.device)

    @cached_property
    def _tokenizer(self) -> "CLIPTokenizer":
        from transformers import CLIPTokenizer

        return CLIPTokenizer.from_pretrained(self.folder, local_files_only=True)

    def _normalisation(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return mean and standard deviation [3] of the folder's preprocessing."""
        path = self.folder / "preprocessor_config.json"
        config = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        mean = np.array(config.get("image_mean", CLIP_MEAN), np.float32)
        return mean, np.array(config.get("image_std", CLIP_STD), np.float32)

    def _pixels(self, image: NDArray[np.uint8]) -> "Tensor":
        """Return a picture [H, W, 3] as network input [3, S, S]."""
        import torch

        picture, size = Image.fromarray(image), self.image_size
        scale = size / min(picture.size)
        width, height = (round(edge * scale) for edge in picture.size)
        if picture.size != (width, height):
            picture = picture.resize((width, height), Image.Resampling.BICUBIC)
        left, top = (width - size) // 2, (height - size) // 2
        pixels = np.array(picture.crop((left, top, left + size, top + size)), dtype=np.float32)
        mean, std = (torch.from_numpy(one).reshape(3, 1, 1) for one in (self.mean, self.std))
        return (torch.from_numpy(pixels).permute(2, 0, 1) / 255.0 - mean) / std

    def _batches(self, rows: "Sequence[Tensor]") -> "Iterator[tuple[Tensor, int]]":
        """Yield batches of exactly BATCH rows, and how many of them are real."""
        import torch

        for start in range(0, len(rows), BATCH):
            chunk = torch.stack(list(rows[start : start + BATCH]))
            filling = chunk.new_zeros(BATCH - len(chunk), *chunk.shape[1:])
            yield torch.cat([chunk, filling]).to(self.device), len(chunk)

    def _stacked(self, vectors: "Sequence[Tensor]") -> NDArray[np.float64]:
        import torch

        if not vectors:
            return np.zeros((0, int(self._model.visual_projection.out_features)))
        return torch.cat(list(vectors)).cpu().numpy().astype(np.float64)


@cache
def load_encoder(folder: Path, device: str = "cpu") -> ClipEncoder:
    """Return the encoder of a folder; one process loads each folder once, whoever asks."""
    return ClipEncoder(folder, device)

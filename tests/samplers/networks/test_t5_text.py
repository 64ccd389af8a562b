import io
import json
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast, T5Config, T5EncoderModel

from bakeoff.samplers.errors import InputError
from bakeoff.samplers.networks.t5_text import T5TextEncoder, left_padded, load_encoder

WORDS = ["a", "red", "circle", "and", "blue", "square"]
LENGTH = 6


def write_tokenizer(folder: Path) -> None:
    vocabulary = ["<pad>", "</s>", "<unk>", *WORDS]
    model = models.WordLevel({word: i for i, word in enumerate(vocabulary)}, unk_token="<unk>")
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    ).save_pretrained(folder)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    config = T5Config(
        vocab_size=9, d_model=24, d_kv=8, d_ff=32, num_layers=2, num_heads=3,
        feed_forward_proj="gated-gelu",
    )  # fmt: skip
    T5EncoderModel(config).half().save_pretrained(tmp_path / "text_encoder")
    write_tokenizer(tmp_path / "tokenizer")
    return tmp_path


@pytest.fixture
def encoder(folder: Path) -> T5TextEncoder:
    return T5TextEncoder.from_folder(folder / "text_encoder", folder / "tokenizer", length=LENGTH)


@pytest.mark.golden_files("llamagen/t5")
def test_states_are_the_official_ones(golden_file, tmp_path: Path) -> None:
    weights = golden_file.path.with_name(golden_file.path.stem + "_weights.safetensors")
    (tmp_path / "model.safetensors").write_bytes(weights.read_bytes())
    (tmp_path / "config.json").write_text(json.dumps(golden_file.description["config"]))
    tensors, mask = golden_file.tensors, golden_file.tensors["attention_mask"]
    with torch.inference_mode():
        states = load_encoder(tmp_path)(tensors["input_ids"], mask).last_hidden_state
    words = golden_file.description["tolerance"]["last_hidden_state"].split()
    torch.testing.assert_close(
        states[mask.bool()],
        tensors["last_hidden_state"][mask.bool()],
        **{name: float(value) for name, value in zip(words[::2], words[1::2], strict=True)},
    )


@pytest.mark.golden_files("llamagen/t2i")
def test_states_move_to_the_right_and_pads_become_zero(golden_file) -> None:
    tensors = golden_file.tensors
    states, mask = left_padded(
        tensors["t5.embeddings_right_padded"], tensors["t5.mask_right_padded"]
    )
    assert torch.equal(states, tensors["cond.embeddings"])
    assert torch.equal(mask, tensors["cond.mask"])


def test_prompts_end_at_the_last_slot(encoder: T5TextEncoder) -> None:
    with torch.inference_mode():
        states, mask = encoder.encode(["a red circle", ""])
    assert states.shape == (2, LENGTH, encoder.dim)
    assert states.dtype == torch.float32
    assert mask.tolist() == [[0, 0, 1, 1, 1, 1], [0, 0, 0, 0, 0, 1]]
    assert torch.equal(states.abs().sum(dim=-1) > 0, mask.bool())


def test_long_prompts_are_cut_before_the_end_token(encoder: T5TextEncoder) -> None:
    ids, mask = encoder.tokenize(["a red circle and a blue square"])
    assert ids.tolist() == [[3, 4, 5, 6, 3, 1]]
    assert mask.all()


def test_states_do_not_depend_on_the_neighbours(encoder: T5TextEncoder) -> None:
    prompts = ["a red circle", "blue", "a red circle", "a blue square and a circle"]
    with torch.inference_mode():
        together, _ = encoder.encode(prompts)
        alone = [encoder.encode([prompt])[0] for prompt in prompts]
    assert torch.equal(together, torch.cat(alone))


@pytest.mark.parametrize("kept", ["shared.weight", "encoder.embed_tokens.weight"])
def test_either_name_of_the_token_embedding_will_do(folder: Path, kept: str) -> None:
    whole = load_encoder(folder / "text_encoder")
    names = ("shared.weight", "encoder.embed_tokens.weight")
    weights = {name: w for name, w in whole.state_dict().items() if name not in names}
    weights |= {
        kept: whole.shared.weight.detach(),
        "decoder.final_layer_norm.weight": torch.ones(24),
    }
    save_file(weights, folder / "text_encoder/model.safetensors")
    embedding = load_encoder(folder / "text_encoder").encoder.embed_tokens.weight
    assert torch.equal(embedding, whole.shared.weight)


def test_a_missing_tokenizer_is_named(folder: Path) -> None:
    with pytest.raises(InputError, match="no-such"):
        T5TextEncoder.from_folder(folder / "text_encoder", folder / "no-such")


def test_code_of_a_tokenizer_folder_is_never_run(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = folder / "was-run"
    code = f"open({str(mark)!r}, 'w').close()\nclass Foreign: pass\n"
    (folder / "tokenizer/foreign.py").write_text(code)
    file = folder / "tokenizer/tokenizer_config.json"
    foreign = {"tokenizer_class": "Foreign", "auto_map": {"AutoTokenizer": ["foreign.Foreign"] * 2}}
    file.write_text(json.dumps(json.loads(file.read_text()) | foreign))
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))  # even if it asked and was told yes
    with pytest.raises(InputError, match="tokenizer"):
        T5TextEncoder.from_folder(folder / "text_encoder", folder / "tokenizer")
    assert not mark.exists()


def test_the_inner_encoder_trains(encoder: T5TextEncoder) -> None:
    states, _ = encoder.encode(["a red circle"])
    states.square().sum().backward()
    assert all(p.grad is not None for p in encoder.encoder.parameters())

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from bakeoff.samplers.errors import InputError
from bakeoff.samplers.networks.checkpoint import load_state, load_weights
from bakeoff.samplers.networks.llamagen import (
    LlamaGenConfig,
    LlamaGenTransformer,
    attention_mask,
    rotary_table,
)
from bakeoff.samplers.networks.llamagen_blocks import rotate

ANY = pytest.mark.golden_files("llamagen/c2i", "llamagen/t2i")
C2I = pytest.mark.golden_files("llamagen/c2i")
T2I = pytest.mark.golden_files("llamagen/t2i")
ROUNDING = {"atol": 1e-5, "rtol": 1e-5}
T2I_SIZES = {"dim": 48, "n_layer": 2, "n_head": 4, "vocab_size": 32, "block_size": 16}
T2I_SIZES |= {"cls_token_num": 6, "model_type": "t2i", "caption_dim": 10}


def tolerance(golden_file, name: str) -> dict[str, float]:
    words = golden_file.description["tolerance"][name].split()
    return {"rtol": 0.0} | {k: float(v) for k, v in zip(words[::2], words[1::2], strict=True)}


def golden_network(golden_file) -> LlamaGenTransformer:
    network = LlamaGenTransformer(LlamaGenConfig.from_dict(golden_file.description["config"]))
    name = golden_file.path.stem + "_weights.safetensors"
    load_state(network, load_weights(golden_file.folder / name), source=name)
    return network.requires_grad_(False)


def condition_of(golden_file) -> tuple[Tensor, Tensor | None]:
    """The conditional half: class ids, or left-padded text states and their mask."""
    tensors = golden_file.tensors
    if "class_ids" in tensors:
        return tensors["class_ids"], None
    return tensors["cond.embeddings"], tensors["cond.mask"]


def with_unconditional(network, golden_file) -> tuple[Tensor, Tensor | None]:
    condition, mask = condition_of(golden_file)
    both = torch.cat([condition, network.unconditional(len(condition))])
    return both, None if mask is None else mask.repeat(2, 1)


def random_network(**settings) -> LlamaGenTransformer:
    torch.manual_seed(0)
    network = LlamaGenTransformer(LlamaGenConfig.from_dict(T2I_SIZES | settings))
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return network.requires_grad_(False)


def random_batch(network, rows: int) -> tuple[Tensor, Tensor, Tensor]:
    config = network.config
    tokens = torch.randint(config.vocab_size, (rows, config.block_size))
    states = torch.randn(rows, config.cls_token_num, config.caption_dim)
    lengths = torch.randint(1, config.cls_token_num + 1, (rows, 1))
    mask = torch.arange(config.cls_token_num) >= config.cls_token_num - lengths
    return tokens, states * mask[..., None], mask.long()


@ANY
def test_rotary_table_is_the_official_one(golden_file) -> None:
    table = rotary_table(LlamaGenConfig.from_dict(golden_file.description["config"]))
    torch.testing.assert_close(
        torch.view_as_real(table), golden_file.tensors["rope.table"], atol=1e-6, rtol=0
    )


@C2I
def test_neighbouring_components_rotate_as_pairs(golden_file) -> None:
    tensors = golden_file.tensors
    table = torch.view_as_complex(tensors["rope.table"])[tensors["rope.positions"]]
    turned = rotate(tensors["rope.apply_in"], table[:, None])
    torch.testing.assert_close(turned, tensors["rope.apply_out"], **tolerance(golden_file, "rope"))


@C2I
def test_class_embeddings_end_with_the_unconditional_one(golden_file) -> None:
    network = golden_network(golden_file)
    both, _ = with_unconditional(network, golden_file)
    assert torch.equal(network.cls_embedding(both), golden_file.tensors["class_embedding"])


@T2I
def test_captions_and_null_caption_pass_the_same_layers(golden_file) -> None:
    network, tensors = golden_network(golden_file), golden_file.tensors
    assert torch.equal(network.uncond_embedding[None], tensors["uncond.embeddings"])
    states = torch.cat([tensors["cond.embeddings"], network.unconditional(1)])
    torch.testing.assert_close(
        network.cls_embedding(states),
        tensors["cap_proj.out"],
        **tolerance(golden_file, "cap_proj"),
        check_stride=False,
    )


@T2I
def test_attention_mask_switches_pad_columns_off(golden_file) -> None:
    config = LlamaGenConfig.from_dict(golden_file.description["config"])
    mask, slots = golden_file.tensors["cond.mask"], config.cls_token_num + config.block_size
    seen = attention_mask(mask, config.cls_token_num, slots, mask.device)
    official = golden_file.tensors["attn_mask"].bool()[:, None, :slots, :slots]
    assert torch.equal(seen, official)


@C2I
def test_full_pass_and_its_first_block_are_the_official_ones(golden_file) -> None:
    network, tensors = golden_network(golden_file), golden_file.tensors
    seen = {}
    block = network.layers[0]
    block.register_forward_hook(lambda _, x, y: seen.update({"layer0.in": x[0], "layer0.out": y}))
    block.attention.register_forward_hook(lambda _, x, y: seen.update({"layer0.attn_out": y}))
    seen["full.logits"] = network(tensors["tokens"], *condition_of(golden_file))
    for name, value in seen.items():
        # the official pass also feeds the last token, which predicts nothing
        torch.testing.assert_close(
            value, tensors[name][:, :-1], **tolerance(golden_file, "logits"), msg=name
        )


@T2I
def test_full_pass_agrees_with_the_official_steps(golden_file) -> None:
    network, tensors = golden_network(golden_file), golden_file.tensors
    logits = network(tensors["tokens"], *condition_of(golden_file))
    expected = tensors["step.logits"][:, : len(logits)].transpose(0, 1)
    torch.testing.assert_close(logits[:, 1:], expected, **tolerance(golden_file, "logits"))


@T2I
def test_every_condition_row_of_the_prefill_is_the_official_one(golden_file) -> None:
    network, tensors = golden_network(golden_file), golden_file.tensors
    hidden = []
    network.norm.register_forward_hook(lambda _, x, y: hidden.append(y))
    network.prefill(*with_unconditional(network, golden_file))
    rows = hidden[0][: len(tensors["prefill.logits"]), tensors["prefill.rows"]]
    torch.testing.assert_close(
        network.output(rows), tensors["prefill.logits"], **tolerance(golden_file, "logits")
    )


@ANY
def test_cached_steps_and_guidance_are_the_official_ones(golden_file) -> None:
    network, tensors = golden_network(golden_file), golden_file.tensors
    tokens = tensors["tokens"].repeat(2, 1)
    hidden, cache = network.prefill(*with_unconditional(network, golden_file))
    steps = [hidden] + [network.decode(column, cache) for column in tokens.T[:-1]]
    steps = [network.head(hidden) for hidden in steps]
    limits = tolerance(golden_file, "logits")
    torch.testing.assert_close(steps[0], tensors["prefill.logits"][:, -1], **limits)
    torch.testing.assert_close(torch.stack(steps[1:]), tensors["step.logits"], **limits)
    conditional, unconditional = torch.stack(steps).chunk(2, dim=1)
    guided = unconditional + tensors["cfg.scale"] * (conditional - unconditional)
    torch.testing.assert_close(
        guided, tensors["cfg.logits"], **tolerance(golden_file, "cfg.logits")
    )
    for name, buffer in {"k": cache.keys, "v": cache.values}.items():
        if f"cache.layer0.{name}" in tensors:
            # ours has no room for the last token, which is never fed
            expected = tensors[f"cache.layer0.{name}"][:, :, : cache.slots]
            torch.testing.assert_close(buffer[0], expected, **limits)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("masked", [True, False])
def test_cached_steps_repeat_the_full_pass(masked: bool, compiled: bool) -> None:
    network = random_network()
    if compiled:
        network.compile_layers(backend="eager", fullgraph=True)
    tokens, states, mask = random_batch(network, rows=3)
    mask = mask if masked else None
    hidden, cache = network.prefill(states, mask)
    steps = [hidden] + [network.decode(column, cache) for column in tokens.T[:-1]]
    torch.testing.assert_close(
        network.head(torch.stack(steps, dim=1)), network(tokens, states, mask), atol=1e-4, rtol=1e-4
    )


@pytest.mark.parametrize("compiled", [False, True])
def test_windows_at_any_place_repeat_the_full_pass(compiled: bool) -> None:
    network = random_network()
    if compiled:  # one graph, whatever turns it into machine code
        network.compile_layers(backend="eager", fullgraph=True)
    tokens, states, mask = random_batch(network, rows=3)
    expected = network(tokens, states, mask)
    _, cache = network.prefill(states, mask)
    first = torch.zeros(3, dtype=torch.long)
    network.decode_window(tokens[:, :9], first, cache)
    starts = torch.tensor([4, 9, 0])  # what is fed again gives the same again
    fed = torch.stack([row[start : start + 6] for row, start in zip(tokens, starts, strict=True)])
    hidden = network.decode_window(fed, starts, cache, end=15)
    for row, start in enumerate(starts.tolist()):
        told = network.head(hidden[row])
        torch.testing.assert_close(told, expected[row, start + 1 : start + 7], atol=1e-4, rtol=1e-4)


def test_packed_weights_give_the_same_logits() -> None:
    network = random_network()
    batch = random_batch(network, rows=3)
    expected, named = network(*batch), len(dict(network.named_parameters()))
    network.pack()
    torch.testing.assert_close(network(*batch), expected, **ROUNDING)
    assert len(dict(network.named_parameters())) < named


def test_condition_tokens_act_through_their_values_only() -> None:
    network = random_network()
    tokens, states, mask = random_batch(network, rows=2)
    logits = network(tokens, states, mask)
    width = network.config.dim
    for layer in network.layers:  # keys of condition tokens are zero, whatever the weights
        layer.attention.wqkv.weight[: 2 * width] = 0.0
    torch.testing.assert_close(network(tokens, states, mask)[:, 0], logits[:, 0], **ROUNDING)
    assert not torch.allclose(network(tokens, states, mask)[:, 1], logits[:, 1])


def test_what_stands_on_pads_does_not_matter() -> None:
    network = random_network()
    tokens, states, mask = random_batch(network, rows=3)
    mask[:, :2], mask[:, 2:] = 0, 1
    noisy = states + 5.0 * (1 - mask[..., None]) * torch.randn_like(states)
    logits = network(tokens, states, mask)
    torch.testing.assert_close(network(tokens, noisy, mask), logits, **ROUNDING)
    assert not torch.allclose(network(tokens, noisy, None), logits)


@pytest.mark.parametrize(
    ("packed", "dtype"),  # as samplers run on a CPU, and where PyTorch comes without oneDNN
    [(True, torch.float32), (True, torch.bfloat16), (False, torch.float32)],
)
@pytest.mark.parametrize("sizes", [{}, {"dim": 192, "n_head": 6, "vocab_size": 577}])
def test_rows_are_bit_for_bit_the_same_in_every_batch(
    sizes: dict[str, int], packed: bool, dtype: torch.dtype
) -> None:
    network = random_network(cls_token_num=16, **sizes).to(dtype)
    if packed:
        network.pack()
    tokens, states, mask = random_batch(network, rows=33)
    runs = []
    for size in (1, 3, 9, 33):
        chunks = []
        for rows in torch.arange(33).split(size):
            hidden, cache = network.prefill(states[rows], mask[rows])
            steps = [network.decode(column, cache) for column in tokens[rows].T[:-1]]
            steps = [network.head(states) for states in (hidden, *steps)]
            chunks.append(torch.stack(steps, dim=1))
        runs.append(torch.cat(chunks))
    assert all(torch.equal(run, runs[0]) for run in runs[1:])


def test_training_in_bfloat16_promotes_nothing_and_reaches_every_weight() -> None:
    network = random_network().requires_grad_(True)
    tokens, states, mask = random_batch(network, rows=4)
    dtypes = set()
    for module in [network.norm, *network.layers, *network.layers[0].children()]:
        module.register_forward_hook(lambda _, x, y: dtypes.update({x[0].dtype, y.dtype}))
    states = torch.cat([states, network.unconditional(4)])
    with torch.autocast("cpu", torch.bfloat16):
        logits = network(tokens.repeat(2, 1), states, mask.repeat(2, 1))
    assert dtypes == {torch.bfloat16}
    assert logits.dtype == torch.float32
    F.cross_entropy(logits.flatten(0, 1), tokens.repeat(2, 1).flatten()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_kv_head": 2}, "n_kv_head"),
        ({"ffn_dim_multiplier": 1.3}, "ffn_dim_multiplier"),
        ({"n_layers": 2}, "did you mean 'n_layer'"),
        ({"model_type": "v2i"}, "v2i"),
        ({"block_size": 15}, "15"),
        ({"dim": 50}, "50"),
    ],
)
def test_impossible_settings_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        LlamaGenConfig.from_dict(T2I_SIZES | settings)


def test_a_missing_setting_is_named() -> None:
    with pytest.raises(InputError, match="'dim'"):
        LlamaGenConfig.from_dict({"n_layer": 1, "n_head": 1})

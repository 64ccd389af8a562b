import math
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bakeoff.samplers.errors import InputError
from bakeoff.samplers.networks import meissonic_blocks
from bakeoff.samplers.networks.checkpoint import load_config, load_state, load_weights
from bakeoff.samplers.networks.meissonic import Condition, MeissonicConfig, MeissonicTransformer
from bakeoff.samplers.networks.meissonic_blocks import Modulation, SingleBlock
from bakeoff.samplers.networks.rotary import rotary_table, rotate, token_positions

ATOL = 2e-5  # logits and activations
TINY: dict[str, Any] = {
    "num_layers": 1,
    "num_single_layers": 2,
    "attention_head_dim": 16,
    "num_attention_heads": 2,
    "joint_attention_dim": 12,
    "pooled_projection_dim": 32,
    "axes_dims_rope": [4, 6, 6],
    "vocab_size": 40,
    "codebook_size": 30,
}


# Frequencies of timesteps that the goldens' processor rounded up, where the nearest are below.
ROUNDED_UP = [12, 106]


@pytest.fixture(autouse=True)
def golden_frequencies(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let golden tests have the frequencies of the goldens' processor on any other."""
    if "golden_file" in request.fixturenames:
        exponent = -math.log(10_000.0) * (torch.arange(128, dtype=torch.float32) / 128)
        rounded = exponent.double().exp().float()
        rounded[ROUNDED_UP] = rounded[ROUNDED_UP].nextafter(torch.ones(2))
        monkeypatch.setattr(meissonic_blocks, "frequencies", lambda device: rounded)


def load(folder: Path) -> MeissonicTransformer:
    net = MeissonicTransformer(MeissonicConfig.from_dict(load_config(folder)))
    load_state(net, load_weights(folder), source=folder)
    return net.eval()


def tiny(**changes: Any) -> MeissonicTransformer:
    net = MeissonicTransformer(MeissonicConfig.from_dict({**TINY, **changes}))
    net.init_weights(torch.Generator().manual_seed(0))
    for block in net.modules():  # modulations that differ from row to row
        if isinstance(block, Modulation):
            nn.init.normal_(block.linear.weight, generator=torch.Generator().manual_seed(1))
    return net.eval()


def inputs(rows: int, size: int = 4) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return tokens, text states, pooled text and micro-conditions for the tiny network."""
    generator = torch.Generator().manual_seed(rows)
    tokens = torch.randint(0, 40, (rows, size, size), generator=generator)
    states = torch.randn(rows, 5, 12, generator=generator)
    pooled = torch.randn(rows, 32, generator=generator)
    return tokens, states, pooled, torch.tensor([64.0, 64, 0, 0, 6]).expand(rows, 5)


def embed(net: MeissonicTransformer, given: dict[str, Tensor]) -> Condition:
    return net.embed_condition(
        given["encoder_hidden_states"],
        given["pooled_projections"],
        given["micro_conds"],
        given.get("guidance"),
    )


def grid_first(logits: Tensor, like: Tensor) -> Tensor:
    """[B, H·W, C] -> [B, C, H, W], the layout of the golden files."""
    return logits.transpose(1, 2).unflatten(2, like.shape[-2:])


def close(found: Tensor, expected: Tensor, atol: float = ATOL) -> None:
    torch.testing.assert_close(found, expected, atol=atol, rtol=0)


def activations(net: MeissonicTransformer, given: dict[str, Tensor]) -> dict[str, Tensor]:
    """Run the network and return what the golden files call `mid.*`."""
    seen: dict[str, Tensor] = {}

    def keep(module: nn.Module, name: str) -> None:
        module.register_forward_hook(lambda _, __, output: seen.update({name: output}))

    def keep_block(i: int) -> Any:
        def hook(_: nn.Module, args: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
            table = args[3].repeat_interleave(2, dim=-1)
            seen["rope_cos"], seen["rope_sin"] = table.real, table.imag
            seen[f"mm{i}.image"], seen[f"mm{i}.context"] = output

        return hook

    keep(net.cond_embed, "cond_embed")
    keep(net.project_to_hidden, "tokens_in")
    keep(net.project_from_hidden, "tokens_out")
    for i, block in enumerate(net.transformer_blocks):
        block.register_forward_hook(keep_block(i))
    net.transformer_blocks[0].norm1.register_forward_hook(
        lambda _, args, __: seen.update(temb=args[0])
    )
    for i, block in enumerate(net.single_transformer_blocks):
        keep(block, f"single{i}")
    tokens = given["hidden_states"]
    condition = embed(net, given)
    net(tokens, condition, given["timestep"])
    down = net.features_in(tokens).permute(0, 3, 1, 2)
    return {**seen, "context_in": condition.context, "down": down}


@pytest.mark.golden_files("meissonic/transformer_*")
@torch.inference_mode()
def test_logits_are_the_official_ones(golden_file: Any) -> None:
    net = load(golden_file.folder / golden_file.description["checkpoint"])
    assert golden_file.cases
    for case in golden_file.cases:
        given, expected = golden_file.part(f"{case}.in"), golden_file.part(f"{case}.out")
        logits = net(given["hidden_states"], embed(net, given), given["timestep"])
        close(grid_first(logits, given["hidden_states"]), expected["logits"])


@pytest.mark.golden_files("meissonic/transformer_plain", "meissonic/transformer_compressed")
@torch.inference_mode()
def test_activations_are_the_official_ones(golden_file: Any) -> None:
    net = load(golden_file.folder / golden_file.description["checkpoint"])
    compared = 0
    for case in golden_file.cases:
        expected = golden_file.part(f"{case}.mid")
        found = activations(net, golden_file.part(f"{case}.in")) if expected else {}
        for name, tensor in expected.items():
            close(found[name], tensor, 1e-6 if name.startswith("rope") else ATOL)
            compared += 1
    assert compared


@pytest.mark.golden_files("meissonic/transformer_plain", "meissonic/transformer_compressed")
@torch.inference_mode()
def test_guidance_before_the_head_gives_the_official_logits(golden_file: Any) -> None:
    net = load(golden_file.folder / golden_file.description["checkpoint"])
    compared = 0
    for case in golden_file.cases:
        given, expected = golden_file.part(f"{case}.in"), golden_file.part(f"{case}.out")
        guided = {k: v for k, v in expected.items() if k.startswith("guided_")}
        hidden = net.hidden(given["hidden_states"], embed(net, given), given["timestep"])
        for name, logits in guided.items():
            scale = float(name.removeprefix("guided_"))
            unconditional, conditional = hidden.chunk(2)
            mixed = net.head(unconditional + scale * (conditional - unconditional))
            # rounding grows with the scale: 4e-4 at 9
            close(grid_first(mixed, logits), logits, 2 * (1 + abs(scale)) * ATOL)
            compared += 1
    assert compared


@pytest.mark.golden_files("meissonic/rope")
def test_rotation_is_the_official_one(golden_file: Any) -> None:
    tensors = golden_file.tensors
    table = rotary_table(tensors["positions"], golden_file.description["axes"])
    pairs = table.repeat_interleave(2, dim=-1)
    close(pairs.real, tensors["out.cos"], 1e-6)
    close(pairs.imag, tensors["out.sin"], 1e-6)
    close(rotate(tensors["in.q"], table), tensors["out.q_rotated"], 1e-6)


@pytest.mark.golden_files("meissonic/rope")
def test_positions_are_the_official_ones(golden_file: Any) -> None:
    layouts = [re.fullmatch(r"out\.ids_(\w+)_H(\d+)_W(\d+)", name) for name in golden_file.tensors]
    found = [match for match in layouts if match]
    assert found
    for match in found:
        factor = 2 if match[1] == "compressed" else 1
        grid = token_positions(0, int(match[2]) // factor, int(match[3]) // factor)
        assert torch.equal(grid.float(), golden_file.tensors[match[0]].float())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pooled_projection_dim": 24}, "pooled_projection_dim 24 must equal .*32"),
        ({"axes_dims_rope": [4, 6, 8]}, r"axes_dims_rope \[4, 6, 8\]"),
        ({"axes_dims_rope": [5, 5, 6]}, r"axes_dims_rope \[5, 5, 6\]"),
        ({"codebook_size": 40}, "vocab_size 40 must exceed codebook_size 40"),
        ({"downsample": True}, "downsample and upsample"),
    ],
)
def test_contradictory_configuration_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        MeissonicConfig.from_dict({**TINY, **changes})


def test_odd_grid_is_refused_by_a_compressing_network() -> None:
    net = tiny(downsample=True, upsample=True)
    _, states, pooled, micro = inputs(1)
    with pytest.raises(InputError, match="5x4"):
        net(torch.zeros(1, 5, 4).long(), net.embed_condition(states, pooled, micro), torch.ones(1))


def test_missing_guidance_is_refused() -> None:
    with pytest.raises(InputError, match="guidance"):
        tiny(guidance_embeds=True).embed_condition(*inputs(1)[1:])


@torch.inference_mode()
def test_conditions_are_selected_and_joined_by_rows() -> None:
    net = tiny()
    tokens, states, pooled, micro = inputs(3)
    condition = net.embed_condition(states, pooled, micro)
    timestep = torch.tensor([1.0, 5.0, 9.0])
    together = net(tokens, condition, timestep)
    order = [2, 0, 1]
    swapped = Condition.cat([condition[2:], condition[[0, 1]]])
    assert len(swapped) == 3
    close(net(tokens[order], swapped, timestep[order]), together[order])
    assert not torch.allclose(together[0], net(tokens[:1], condition[1:2], timestep[:1])[0])


@torch.inference_mode()
def test_one_timestep_serves_the_whole_batch() -> None:
    net = tiny()
    tokens, *text = inputs(2)
    condition = net.embed_condition(*text)
    one, each, other = torch.tensor([7]), torch.tensor([7, 7]), torch.tensor([8])
    close(net(tokens, condition, one), net(tokens, condition, each))
    assert not torch.allclose(net(tokens, condition, one), net(tokens, condition, other))


@torch.inference_mode()
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_stays_close_at_large_timesteps(dtype: torch.dtype) -> None:
    net = tiny()
    tokens, states, pooled, micro = inputs(2)
    timestep = torch.tensor([999])  # overflows when scaled in float16
    exact = net(tokens, net.embed_condition(states, pooled, micro), timestep)
    net.to(dtype)
    condition = net.embed_condition(states.to(dtype), pooled.to(dtype), micro)
    half = net(tokens, condition, timestep)
    assert half.dtype == dtype
    relative = (half.float() - exact).std() / exact.std()
    assert relative < (0.01 if dtype == torch.float16 else 0.08)


@torch.inference_mode()
def test_float16_text_stream_is_clipped() -> None:
    block = SingleBlock(2, 16).half()
    nn.init.constant_(block.proj_out.bias, 60_000)
    modulations = tuple(torch.tensor([0.0, 0.0, 1.0]).half().view(3, 1, 1, 1))  # gate open
    table = rotary_table(token_positions(3, 0, 0), (4, 6, 6))
    sequence = block(torch.full((1, 3, 32), 60_000.0).half(), modulations, table)
    assert sequence.max() == 65504


def test_training_under_autocast_promotes_nothing_and_learns() -> None:
    torch.manual_seed(0)
    net = MeissonicTransformer(MeissonicConfig.from_dict(TINY))
    net.init_weights(torch.Generator().manual_seed(0))
    dtypes: set[torch.dtype] = set()

    def record(module: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
        dtypes.add(output.dtype)

    for name, module in net.named_modules():
        if isinstance(module, SingleBlock | nn.Linear) or name.endswith("norm_q"):
            module.register_forward_hook(record)
    tokens, *text = inputs(4)
    codes = tokens % 30
    optimizer = torch.optim.AdamW(net.parameters(), lr=3e-3)
    losses = []
    for _ in range(40):
        with torch.autocast("cpu", torch.bfloat16):
            masked = torch.full_like(tokens, net.config.mask_token_id)
            logits = net(masked, net.embed_condition(*text), torch.rand(4))
        loss = F.cross_entropy(logits.float().flatten(0, 1), codes.flatten())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert dtypes == {torch.bfloat16}
    assert losses[-1] < 0.5 * losses[0]


def test_every_weight_is_reached_by_gradients() -> None:
    net = tiny(downsample=True, upsample=True)
    tokens, *text = inputs(2)
    net(tokens, net.embed_condition(*text), torch.tensor([3.0])).square().mean().backward()
    # after the last multi-modal block the text goes on, so no part of it is idle
    idle = [n for n, p in net.named_parameters() if p.grad is None or not p.grad.any()]
    assert idle == []


def test_initial_blocks_are_half_open_and_unmodulated() -> None:
    net = MeissonicTransformer(MeissonicConfig.from_dict(TINY))
    net.init_weights(torch.Generator().manual_seed(0))
    vector = torch.randn(1, 32)
    shift, scale, gate, shift2, scale2, gate2 = net.transformer_blocks[0].norm1(vector)
    assert not torch.cat([shift, scale, shift2, scale2]).any()
    assert (torch.cat([gate, gate2]) == 0.5).all()

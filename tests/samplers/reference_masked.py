"""The masked loop and its network done plainly: what the official code computes, as it computes it.

Nothing is shared or left out: every call evaluates both rows of guidance at every position, embeds
its text and makes its rotary tables anew; every position is drawn; Z-sampling takes one image at a
time. It is the reference of the sampler's shortcuts, for equality in tests and for speed in
benchmarks. Source: Meissonic `transformer.py`, `scheduler.py`, `inverse_scheduler.py`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from bakeoff.samplers.networks.meissonic import MeissonicConfig, MeissonicTransformer

EPS = 1e-6
TINY = 1e-20


@dataclass(frozen=True)
class Text:
    """Text states [B, T, J], pooled text [B, P] and micro-conditions [B, 5]."""

    states: Tensor
    pooled: Tensor
    micro: Tensor

    def cat(self, other: "Text") -> "Text":
        return Text(
            torch.cat([self.states, other.states]),
            torch.cat([self.pooled, other.pooled]),
            torch.cat([self.micro, other.micro]),
        )

    def __getitem__(self, rows: slice) -> "Text":
        return Text(self.states[rows], self.pooled[rows], self.micro[rows])


class PlainTransformer:
    """The official forward pass on the weights of a network that `keep_bits` has not changed."""

    def __init__(self, network: MeissonicTransformer) -> None:
        self.config: MeissonicConfig = network.config
        self.weights: Mapping[str, Tensor] = network.state_dict()

    def __call__(self, tokens: Tensor, text: Text, timestep: int) -> Tensor:
        """Return logits [B, C, H, W] for tokens [B, H, W]."""
        vector = self.vector(text, timestep)
        context = self.norm("encoder_proj_layer_norm", self.linear("context_embedder", text.states))
        x = self.features(tokens)
        height, width = x.shape[2:]
        table = rotary_tables(context.shape[1], height, width, self.config.axes_dims_rope)
        table = table.to(x.device)
        x = self.norm("project_to_hidden_norm", x.permute(0, 2, 3, 1).flatten(1, 2))
        x = self.linear("project_to_hidden", x)
        for i in range(self.config.num_layers):
            x, context = self.joint_block(f"transformer_blocks.{i}", x, context, vector, table)
        z = torch.cat([context, x], dim=1)
        for i in range(self.config.num_single_layers):
            z = self.single_block(f"single_transformer_blocks.{i}", z, vector, table)
        y = self.norm("project_from_hidden_norm", z[:, context.shape[1] :])
        y = self.linear("project_from_hidden", y)
        return self.logits(y.transpose(1, 2).unflatten(2, (height, width)))

    def vector(self, text: Text, timestep: int) -> Tensor:
        time = torch.full((len(text.pooled),), float(timestep), device=text.pooled.device)
        embedded = self.embedder("time_text_embed.timestep_embedder", sinusoid(1000 * time))
        micro = sinusoid(text.micro).flatten(1)
        joined = self.embedder("cond_embed", torch.cat([text.pooled.float(), micro], dim=-1))
        return embedded + self.embedder("time_text_embed.text_embedder", joined)

    def features(self, tokens: Tensor) -> Tensor:
        """Return [B, D, h, w]; the 1×1 convolutions work on channels first, as officially."""
        e = F.embedding(tokens, self.weights["embed.embeddings.weight"])
        e = self.norm("embed.layer_norm", e).permute(0, 3, 1, 2)
        e = F.conv2d(e, self.weights["embed.conv.weight"])
        if self.config.downsample:
            e = self.channel_norm("down_block.downsample.norm", e)
            e = F.conv2d(
                F.pad(e, (0, 1, 0, 1)), self.weights["down_block.downsample.conv.weight"], stride=2
            )
        return e

    def logits(self, y: Tensor) -> Tensor:
        if self.config.upsample:
            y = self.channel_norm("up_block.upsample.norm", y)
            y = F.conv_transpose2d(y, self.weights["up_block.upsample.conv.weight"], stride=2)
        y = F.conv2d(y, self.weights["mlm_layer.conv1.weight"])
        y = self.channel_norm("mlm_layer.layer_norm", y)
        return F.conv2d(y, self.weights["mlm_layer.conv2.weight"])

    def joint_block(
        self, name: str, x: Tensor, context: Tensor, vector: Tensor, table: Tensor
    ) -> tuple[Tensor, Tensor]:
        shift, scale, gate, shift2, scale2, gate2 = self.modulation(f"{name}.norm1", vector, 6)
        texts = self.modulation(f"{name}.norm1_context", vector, 6)
        a = layer_norm(x) * (1 + scale) + shift
        c = layer_norm(context) * (1 + texts[1]) + texts[0]
        image = self.heads(name, a, ("to_q", "to_k", "to_v"), ("norm_q", "norm_k"))
        added = ("add_q_proj", "add_k_proj", "add_v_proj"), ("norm_added_q", "norm_added_k")
        text = self.heads(name, c, *added)
        mixed = attend(*(torch.cat(pair, dim=2) for pair in zip(text, image, strict=True)), table)
        length = context.shape[1]
        x = x + gate * self.linear(f"{name}.attn.to_out.0", mixed[:, length:])
        context = context + texts[2] * self.linear(f"{name}.attn.to_add_out", mixed[:, :length])
        x = x + gate2 * self.feed_forward(f"{name}.ff", layer_norm(x) * (1 + scale2) + shift2)
        c = layer_norm(context) * (1 + texts[4]) + texts[3]
        return x, context + texts[5] * self.feed_forward(f"{name}.ff_context", c)

    def single_block(self, name: str, z: Tensor, vector: Tensor, table: Tensor) -> Tensor:
        shift, scale, gate = self.modulation(f"{name}.norm", vector, 3)
        a = layer_norm(z) * (1 + scale) + shift
        mixed = attend(*self.heads(name, a, ("to_q", "to_k", "to_v"), ("norm_q", "norm_k")), table)
        mlp = F.gelu(self.linear(f"{name}.proj_mlp", a), approximate="tanh")
        return z + gate * self.linear(f"{name}.proj_out", torch.cat([mixed, mlp], dim=-1))

    def heads(
        self, name: str, x: Tensor, maps: tuple[str, str, str], norms: tuple[str, str]
    ) -> tuple[Tensor, Tensor, Tensor]:
        count = self.config.num_attention_heads
        q, k, v = (
            self.linear(f"{name}.attn.{map_}", x).unflatten(-1, (count, -1)).transpose(1, 2)
            for map_ in maps
        )
        q, k = (self.norm(f"{name}.attn.{n}", y) for n, y in zip(norms, (q, k), strict=True))
        return q, k, v

    def feed_forward(self, name: str, x: Tensor) -> Tensor:
        inner = F.gelu(self.linear(f"{name}.net.0.proj", x), approximate="tanh")
        return self.linear(f"{name}.net.2", inner)

    def modulation(self, name: str, vector: Tensor, count: int) -> tuple[Tensor, ...]:
        return self.linear(f"{name}.linear", F.silu(vector))[:, None].chunk(count, dim=-1)

    def embedder(self, name: str, x: Tensor) -> Tensor:
        x = x.to(self.weights[f"{name}.linear_1.weight"].dtype)
        return self.linear(f"{name}.linear_2", F.silu(self.linear(f"{name}.linear_1", x)))

    def linear(self, name: str, x: Tensor) -> Tensor:
        weight = self.weights[f"{name}.weight"]
        return F.linear(x.to(weight.dtype), weight, self.weights.get(f"{name}.bias"))

    def norm(self, name: str, x: Tensor) -> Tensor:
        normed = x * torch.rsqrt(x.float().square().mean(dim=-1, keepdim=True) + EPS)
        weight = self.weights[f"{name}.weight"]
        return normed.to(weight.dtype) * weight

    def channel_norm(self, name: str, x: Tensor) -> Tensor:
        return self.norm(name, x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def sinusoid(value: Tensor) -> Tensor:
    angle = value.float()[..., None] * 10_000.0 ** (-torch.arange(128, device=value.device) / 128)
    return torch.cat([angle.cos(), angle.sin()], dim=-1)


def layer_norm(x: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], eps=EPS)


def rotary_tables(length: int, height: int, width: int, axes: tuple[int, ...]) -> Tensor:
    """Return cosines and sines, [2, S, hd], from float64 angles on the CPU."""
    grid = torch.zeros(height, width, 3)
    grid[..., 1] += torch.arange(height)[:, None]
    grid[..., 2] += torch.arange(width)[None]
    positions = torch.cat([torch.zeros(length, 3), grid.flatten(0, 1)]).double()
    angles = [
        positions[:, axis, None] / 10_000 ** (torch.arange(0, dim, 2).double() / dim)
        for axis, dim in enumerate(axes)
    ]
    angle = torch.cat(angles, dim=-1).repeat_interleave(2, dim=-1)
    return torch.stack([angle.cos(), angle.sin()]).float()


def attend(q: Tensor, k: Tensor, v: Tensor, table: Tensor) -> Tensor:
    q, k = turn(q, table), turn(k, table)
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


def turn(x: Tensor, table: Tensor) -> Tensor:
    first, second = x.unflatten(-1, (-1, 2)).unbind(-1)
    turned = torch.stack([-second, first], dim=-1).flatten(-2)
    return (x.float() * table[0] + turned.float() * table[1]).to(x.dtype)


@dataclass(frozen=True)
class PlainLoop:
    """The official vanilla and Z-sampling loops.

    Draws are the argmax and masking has no noise if `greedy`, so that tokens can be compared.
    """

    network: PlainTransformer
    without: Text  # of the empty prompt, one row for each image
    given: Text
    steps: int
    guidance_scale: float
    greedy: bool = False

    def guided(self, tokens: Tensor, timestep: int, scale: float) -> Tensor:
        """Return logits [B, C, H, W] in float32; both rows are evaluated whatever the scale."""
        both = self.without.cat(self.given)
        without, given = self.network(torch.cat([tokens, tokens]), both, timestep).chunk(2)
        return (without + scale * (given - without)).float()

    def sample(self, tokens: Tensor) -> Tensor:
        """Fill in the unknown tokens [B, H, W], plainly."""
        for step in range(self.steps):
            tokens = self.step(
                tokens, self.guided(tokens, self.steps - 1 - step, self.guidance_scale), step
            )
        return tokens

    def sample_zigzag(self, tokens: Tensor, inversion_scale: float) -> Tensor:
        """Fill in the unknown tokens with masked Z-sampling, one image at a time."""
        made = []
        for i in range(len(tokens)):
            rows = slice(i, i + 1)
            one = PlainLoop(
                self.network,
                self.without[rows],
                self.given[rows],
                self.steps,
                self.guidance_scale,
                self.greedy,
            )
            made.append(one.zigzag(tokens[rows], inversion_scale))
        return torch.cat(made)

    def zigzag(self, tokens: Tensor, inversion_scale: float) -> Tensor:
        for step in range(self.steps - 1):
            timestep = self.steps - 1 - step
            after = self.step(tokens, self.guided(tokens, timestep, self.guidance_scale), step)
            inversion = self.guided(after, timestep - 1, inversion_scale)
            tokens = self.back(tokens, after, inversion)
            tokens = self.step(tokens, self.guided(tokens, timestep, self.guidance_scale), step)
        return self.step(tokens, self.guided(tokens, 0, self.guidance_scale), self.steps - 1)

    def draw(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Return probabilities [B, K, C] and a code for every position, known or not, [B, K]."""
        probs = logits.permute(0, 2, 3, 1).flatten(1, 2).softmax(dim=-1)
        if self.greedy:
            return probs, probs.argmax(dim=-1)
        race = torch.empty_like(probs).exponential_()  # one number for each position and code
        return probs, (probs / race).argmax(dim=-1)

    def step(self, tokens: Tensor, logits: Tensor, step: int) -> Tensor:
        mask, flat = self.network.config.mask_token_id, tokens.flatten(1)
        unknown = flat == mask
        probs, drawn = self.draw(logits)
        drawn = torch.where(unknown, drawn, flat)
        if step == self.steps - 1:
            return drawn.view_as(tokens)
        ratio = torch.tensor((step + 1) / self.steps, dtype=torch.float32)
        count = (flat.shape[1] * torch.cos(ratio * math.pi / 2)).floor().long()
        count = torch.minimum(count.clamp_min(0), unknown.sum(dim=-1) - 1).clamp_min(1)
        chosen = probs.gather(-1, drawn.clamp_max(probs.shape[-1] - 1)[..., None])[..., 0]
        confidence = chosen.clamp_min(TINY).log().masked_fill(~unknown, 88.7)
        if not self.greedy:
            temperature = 2.0 * (1 - step / max(self.steps - 1, 1))
            noise = torch.rand_like(confidence).clamp_min(TINY).log().neg()
            confidence = confidence - temperature * noise.clamp_min(TINY).log()
        cut = confidence.sort(dim=-1).values.gather(-1, count[:, None])
        return drawn.masked_fill(confidence < cut, mask).view_as(tokens)

    def back(self, before: Tensor, after: Tensor, logits: Tensor) -> Tensor:
        """Mask the known tokens of which the inversion is surest; one image.

        The draw is the official one, whose result is not used.
        """
        mask, flat = self.network.config.mask_token_id, after.flatten(1)
        probs, _ = self.draw(logits)
        known = flat != mask
        count = int((before == mask).sum()) - 1 - int((~known).sum())
        surest = probs.amax(dim=-1).masked_fill(~known, -1.0)
        order = surest.argsort(dim=-1, descending=True, stable=True)[:, : max(count, 0)]
        return flat.scatter(1, order, mask).view_as(after)

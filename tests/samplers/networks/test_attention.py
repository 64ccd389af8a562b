import pytest
import torch
from torch import Tensor

from bakeoff.samplers.networks.attention import attention


def qkv(length: int = 5, keys: int = 7) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    q = torch.randn(2, 3, length, 4, generator=generator)
    k, v = torch.randn(2, 2, 3, keys, 4, generator=generator)
    return q, k, v


def written_out(q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
    scores = torch.einsum("bhsd,bhtd->bhst", q, k) / 2 + bias
    return torch.einsum("bhst,bhtd->bhsd", scores.exp() / scores.exp().sum(-1, True), v)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("kind", ["none", "boolean", "additive"])
def test_attention_is_the_softmax_average(training: bool, kind: str) -> None:
    q, k, v = qkv()
    allowed = torch.ones(5, 7).tril().bool()
    bias = {
        "none": torch.zeros(5, 7),
        "boolean": torch.zeros(5, 7).masked_fill(~allowed, float("-inf")),
        "additive": torch.linspace(-2, 2, 35).view(5, 7),
    }[kind]
    mask = {"none": None, "boolean": allowed, "additive": bias}[kind]
    result = attention(q.requires_grad_(training), k, v, mask)
    torch.testing.assert_close(result, written_out(q, k, v, bias), atol=1e-6, rtol=0)


def test_training_and_sampling_agree_in_bfloat16() -> None:
    q, k, v = (x.bfloat16() for x in qkv())
    sampled = attention(q, k, v)
    trained = attention(q.requires_grad_(), k, v)
    assert sampled.dtype == trained.dtype == torch.bfloat16
    torch.testing.assert_close(sampled, trained, atol=0.02, rtol=0)


@torch.inference_mode()
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_long_sequences_head_by_head_are_the_same_average(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(2, 300, 3, 4, generator=generator).transpose(1, 2) for _ in range(3))
    expected = written_out(q, k, v, torch.zeros(300, 300))
    found = attention(q.to(dtype), k.to(dtype), v.to(dtype))
    assert found.dtype == dtype and found.shape == q.shape
    atol = 1e-6 if dtype == torch.float32 else 0.02
    torch.testing.assert_close(found.float(), expected, atol=atol, rtol=0)

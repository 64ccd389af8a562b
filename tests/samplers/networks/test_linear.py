import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from bakeoff.samplers.networks.linear import Linear, fused, linear, linear_gelu

DTYPES = {torch.float32: 1e-5, torch.bfloat16: 0.05}


def operands(rows: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, rows, 48, generator=generator)
    weight, bias = torch.randn(80, 48, generator=generator), torch.randn(80, generator=generator)
    return x.to(dtype), weight.to(dtype) / 7, bias.to(dtype)


@torch.inference_mode()
@pytest.mark.parametrize("dtype", DTYPES)
def test_products_are_those_of_pytorch(dtype: torch.dtype) -> None:
    x, weight, bias = operands(5, dtype)
    assert fused(x)
    for given in (x, x.transpose(0, 1)):  # strided, too
        expected = F.linear(given, weight, bias)
        close = {"atol": DTYPES[dtype], "rtol": DTYPES[dtype]}
        torch.testing.assert_close(linear(given, weight, bias), expected, **close)
        torch.testing.assert_close(linear(given, weight), F.linear(given, weight), **close)
        gelu = F.gelu(expected, approximate="tanh")
        torch.testing.assert_close(linear_gelu(given, weight, bias), gelu, **close)


@torch.inference_mode()
@pytest.mark.parametrize("product", [linear, linear_gelu])
def test_rows_have_the_same_bits_from_two_on(product: object) -> None:
    x, weight, bias = operands(300)
    whole = product(x[0], weight, bias)  # type: ignore[operator]
    for rows in (2, 3, 16, 17, 100, 255):
        part = product(x[0, 300 - rows :], weight, bias)  # type: ignore[operator]
        assert part.equal(whole[300 - rows :])


@torch.inference_mode()
@pytest.mark.parametrize("product", [linear, linear_gelu])
@pytest.mark.parametrize("inputs", [768, 1024, 4096])
def test_rows_in_bfloat16_have_the_same_bits_too(product: object, inputs: int) -> None:
    """Kernels of processors with AMX choose another order of summation where rows are few."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(6, 141, inputs, generator=generator).bfloat16()
    weight = torch.randn(192, inputs, generator=generator).bfloat16()
    bias = torch.randn(192, generator=generator).bfloat16()
    whole = product(x, weight, bias)  # type: ignore[operator]
    assert whole.shape == (6, 141, 192)
    for images in range(1, 6):
        part = product(x[:images], weight, bias)  # type: ignore[operator]
        assert part.equal(whole[:images])
    for rows in (1, 2, 16, 100):
        part = product(x[3, 7 : 7 + rows], weight, bias)  # type: ignore[operator]
        assert part.equal(whole[3, 7 : 7 + rows])


@torch.inference_mode()
def test_no_rows_give_no_rows() -> None:
    assert linear(torch.zeros(0, 48), torch.zeros(80, 48)).shape == (0, 80)


def test_layers_are_trained_as_ever() -> None:
    torch.manual_seed(0)
    ours, plain = Linear(48, 80), torch.nn.Linear(48, 80)
    plain.load_state_dict(ours.state_dict())
    x = operands(5)[0]
    for layer in (ours, plain):
        layer(x).square().sum().backward()
    assert ours.weight.grad is not None and plain.weight.grad is not None
    assert ours.weight.grad.equal(plain.weight.grad)


@torch.inference_mode()
def test_compiler_takes_the_product_as_it_is() -> None:
    x, weight, bias = operands(5)
    compiled = torch.compile(linear_gelu, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(x, weight, bias), linear_gelu(x, weight, bias))

"""The parameters of flax files under the names and in the layouts of PyTorch's layers.

Modules keep their flax names, `/` becoming a dot; of a layer's own parameters the table tells the
name and the layout, by their number of dimensions where that decides.
"""

from collections.abc import Callable, Mapping

from torch import Tensor

Layout = Callable[[Tensor], Tensor]


def _same(tensor: Tensor) -> Tensor:
    return tensor


# what flax calls it and its dimensions: what PyTorch calls it, and how it lies there
LEAVES: dict[tuple[str, int], tuple[str, Layout]] = {
    ("kernel", 2): ("weight", lambda kernel: kernel.T),  # [inputs, outputs]
    ("kernel", 4): ("weight", lambda kernel: kernel.permute(3, 2, 0, 1)),  # [h, w, in, out]
    ("bias", 1): ("bias", _same),
    ("bias", 2): ("bias", lambda bias: bias.flatten()),  # [heads, head dim]
    ("scale", 1): ("weight", _same),
    ("embedding", 2): ("weight", _same),
    ("codebook", 2): ("codebook", _same),
}
# of attention, whose kernels hold the heads: [inputs, heads, head dim], behind it the reverse
TO_HEADS: Layout = lambda kernel: kernel.flatten(1).T  # noqa: E731
FROM_HEADS: Layout = lambda kernel: kernel.flatten(0, 1).T  # noqa: E731
HEADED = {"query": TO_HEADS, "key": TO_HEADS, "value": TO_HEADS, "out": FROM_HEADS}


def from_flax(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of a flax file by the names of our modules; unknown ones keep theirs."""
    named = {}
    for path, tensor in tensors.items():
        *modules, leaf = path.split("/")
        name, layout = LEAVES.get((leaf, tensor.dim()), (leaf, _same))
        if (leaf, tensor.dim()) == ("kernel", 3) and modules and modules[-1] in HEADED:
            name, layout = "weight", HEADED[modules[-1]]
        named[".".join([*modules, name])] = layout(tensor).contiguous()
    return named

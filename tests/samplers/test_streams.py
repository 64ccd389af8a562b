import pytest
import torch

from bakeoff.samplers.streams import Streams

UNIFORM = [
    [0.045101046562194824, 0.43299710750579834, 0.161632239818573],
    [0.4229697585105896, 0.9235414266586304, 0.9507163166999817],
]
NORMAL = [
    [-0.9724993109703064, 1.428792953491211, 0.2823839783668518],
    [0.07265600562095642, -1.9834001064300537, -0.08778983354568481],
]


def test_numbers_depend_on_seed_purpose_step_and_place_only() -> None:
    alone, among = Streams([7]), Streams([3, 7, 7, 9])
    among.normal("regularization", 0, (5,))  # what was drawn before does not count
    expected = alone.uniform("tokens", 4, (6, 2))[0]
    seen = among.uniform("tokens", 4, (6, 2))
    assert seen.shape == (4, 6, 2) and seen.dtype == torch.float32
    assert seen[1].equal(expected) and seen[2].equal(expected)


@pytest.mark.parametrize(
    ("seed", "purpose", "step"), [(8, "tokens", 4), (7, "confidence", 4), (7, "tokens", 5)]
)
def test_other_seeds_purposes_and_steps_have_their_own_numbers(
    seed: int, purpose: str, step: int
) -> None:
    one = Streams([7]).uniform("tokens", 4, (4000,))[0]
    other = Streams([seed]).uniform(purpose, step, (4000,))[0]
    assert abs(torch.corrcoef(torch.stack([one, other]))[0, 1]) < 0.08  # five standard errors
    assert not one.equal(other)


def test_numbers_stay_those_of_the_first_release() -> None:
    # A change here changes every image that was ever made.
    streams = Streams([0, 2**63 - 1])
    assert streams.uniform("tokens", 0, (3,)).tolist() == UNIFORM
    assert streams.normal("regularization", 15, (3,)).tolist() == NORMAL


def test_distributions_are_uniform_and_normal() -> None:
    streams = Streams(range(4))
    uniform = streams.uniform("tokens", 0, (50_000,)).double().flatten()
    assert uniform.min() >= 0 and uniform.max() < 1
    assert float(uniform.mean()) == pytest.approx(0.5, abs=0.004)
    assert float(uniform.var()) == pytest.approx(1 / 12, abs=0.002)
    normal = streams.normal("tokens", 0, (50_000,)).double().flatten()
    assert float(normal.mean()) == pytest.approx(0, abs=0.012)
    assert float(normal.var()) == pytest.approx(1, abs=0.02)


def test_first_numbers_of_neighbouring_seeds_are_uniform_too() -> None:
    first = Streams(range(4000)).uniform("tokens", 0, (1,)).flatten()
    assert float(first.mean()) == pytest.approx(0.5, abs=0.025)
    assert abs(torch.corrcoef(torch.stack([first[1:], first[:-1]]))[0, 1]) < 0.08


def test_normal_numbers_at_marked_places_are_those_of_the_whole() -> None:
    where = torch.rand(3, 20, generator=torch.Generator().manual_seed(0)) < 0.3
    where[1] = False  # an image that needs none
    where[2] = True
    streams = Streams([5, 6, 7])
    whole = streams.normal("regularization", 2, (20, 9))
    assert streams.normal_at("regularization", 2, 9, where).equal(whole[where])
    nothing = torch.zeros(3, 20, dtype=torch.bool)
    assert streams.normal_at("regularization", 2, 9, nothing).shape == (0, 9)


def test_negative_seeds_are_seeds() -> None:
    assert not Streams([-1]).uniform("a", 0, (3,)).equal(Streams([1]).uniform("a", 0, (3,)))

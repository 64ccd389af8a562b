"""What other packages offer by name: found without running it, loaded on use, refused in words."""

import sys
from pathlib import Path

import pytest

from bakeoff.samplers.errors import InputError
from bakeoff.samplers.plugins import Registry, packages
from tests.packages import put

OWN = {"one": 1.0}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of installed packages; what is imported from it is forgotten again."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    return tmp_path


def refusal(registry: Registry[float], name: str) -> str:
    assert name in registry and registry.find(name) is None
    with pytest.raises(InputError) as error:
        registry[name]
    assert "\n" not in str(error.value)
    return str(error.value)


def test_an_entry_of_another_package_is_imported_when_it_is_asked_for(site: Path) -> None:
    put(site, "more-metrics", "two = 2.0", metrics="two = two")
    registry = Registry("metric", float, OWN)
    assert list(registry) == ["one", "two"] and len(registry) == 2 and "two" in registry
    assert "more_metrics" not in sys.modules
    assert registry["one"] == 1.0 and "more_metrics" not in sys.modules
    assert registry["two"] == registry.find("two") == 2.0 and "more_metrics" in sys.modules
    assert packages()["more-metrics"] == "1.0"
    assert list(Registry("benchmark", float, {})) == []


def test_a_name_that_nobody_offers_is_unknown(site: Path) -> None:
    registry = Registry("metric", float, OWN)
    assert "three" not in registry and registry.find("three") is None
    with pytest.raises(KeyError):
        registry["three"]


def test_a_name_that_two_packages_offer_is_refused_and_the_others_stay(site: Path) -> None:
    put(site, "a", "two = 2.0\nthree = 3.0", metrics="two = two\nthree = three")
    put(site, "b", "two = 2.0", metrics="two = two")
    registry = Registry("metric", float, OWN)
    assert list(registry) == ["one", "two", "three"]
    told = refusal(registry, "two")
    assert told == "metric 'two' is offered by a 1.0 and b 1.0: uninstall all but one"
    assert registry["three"] == 3.0


def test_bakeoffs_own_names_cannot_be_taken(site: Path) -> None:
    put(site, "thief", "one = 7.0", metrics="one = one")
    registry = Registry("metric", float, OWN)
    assert registry["one"] == 1.0 and list(registry) == ["one"] and len(registry) == 1
    ((name, error),) = registry.left_out()
    assert name == "one" and "thief" not in sys.modules
    assert str(error) == (
        "metric 'one' of package thief 1.0 is left out: Bakeoff has its own of that name"
    )


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("import nothing_of_that_name", "cannot be imported (ModuleNotFoundError: No module"),
        ("raise RuntimeError('two\\nlines')", "cannot be imported (RuntimeError: two lines)"),
        ("def", "cannot be imported (SyntaxError: invalid syntax"),
        ("other = 2.0", "cannot be imported (AttributeError: module"),
        ("two = 'x' * 10_000", "must be a float, got 'xx"),
    ],
)
def test_a_broken_package_is_told_in_one_sentence(site: Path, code: str, told: str) -> None:
    put(site, "broken", code, metrics="two = two")
    registry = Registry("metric", float, OWN)
    sentence = refusal(registry, "two")
    assert sentence.startswith(f"metric 'two' of package broken 1.0 {told}")
    assert len(sentence) < 350
    assert registry["one"] == 1.0


def test_an_entry_may_be_refused_for_what_it_is(site: Path) -> None:
    def check(name: str, entry: float) -> None:
        if entry > 1:
            raise ValueError("it is too large")

    put(site, "large", "two = 2.0", metrics="two = two")
    registry = Registry("metric", float, OWN, check)
    assert refusal(registry, "two") == "metric 'two' of package large 1.0: it is too large"


def test_a_name_that_a_study_could_not_hold_is_refused(site: Path) -> None:
    put(site, "odd", "two = 2.0", metrics="../two = two")
    told = refusal(Registry("metric", float, OWN), "../two")
    assert "must be named by letters, digits" in told

import copy
from typing import Any

import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st

from bakeoff.samplers.choices import CHOICES, Cost
from bakeoff.samplers.errors import InputError
from bakeoff.samplers.recipe import Recipe

LINE = (
    "steps=16 guidance_scale=2 schedule=one_minus_t_pow(0.6) noise=abs_cos(1) "
    "differential=75 zigzag=low_token_prob"
)


def floats(least: float, most: float = 1e6, *, open_below: bool = False) -> st.SearchStrategy:
    return st.floats(least, most, exclude_min=open_below)


@st.composite
def recipes(draw: st.DrawFn) -> Recipe:
    """Any recipe that can be made."""

    def maybe(strategy: st.SearchStrategy) -> Any:
        return draw(st.none() | strategy)

    steps = maybe(st.integers(2, 500))
    curves = ["abs_cos", "half_abs_cos", "half_then_full", "full_then_half"]
    rules = ["low_token_prob", "high_max_prob", "random", "recover", "masked"]
    choices = {
        "preset": draw(st.sampled_from(["paper", "official"])),
        "steps": steps,
        "guidance_scale": draw(floats(1, open_below=True)),
        "temperature": draw(floats(0)),
        "masking_temperature": draw(st.tuples(floats(0), floats(0)) | floats(0)),
        "schedule": draw(
            st.sampled_from([{"name": "cosine"}, {"name": "linear"}])
            | st.fixed_dictionaries(
                {
                    "name": st.sampled_from(["pow_one_minus_t", "one_minus_t_pow"]),
                    "p": floats(0, open_below=True),
                }
            )
        ),
        "noise": maybe(
            st.fixed_dictionaries(
                {"curve": st.sampled_from(curves)},
                optional={"amplitude": floats(0, open_below=True)},
            )
        ),
        "differential": maybe(
            st.fixed_dictionaries(
                {"percent": floats(0, 100, open_below=True)},
                optional={
                    "rule": st.sampled_from(["abs", "positive"]),
                    "carry": st.sampled_from(["raw", "modified"]),
                    "pool": st.sampled_from(["all", "masked"]),
                },
            )
        ),
        "zigzag": maybe(
            st.fixed_dictionaries(
                {"rule": st.sampled_from(rules)},
                optional={"guidance": floats(-20, 20), "first": st.integers(1, (steps or 9) - 1)},
            )
        ),
        "top_k": maybe(st.integers(1, 10**9)),
        "top_p": draw(floats(0, 1, open_below=True)),
        "negative_prompt": draw(st.text()),
    }
    zigzag = choices["zigzag"]
    assume(not (choices["differential"] and zigzag and zigzag["rule"] == "recover"))
    return Recipe.from_dict(choices)


@given(recipes())
def test_text_form_reads_back_as_the_same_recipe(recipe: Recipe) -> None:
    assert "\n" not in str(recipe)
    assert Recipe.from_text(str(recipe)) == recipe


@given(recipes())
def test_yaml_form_reads_back_as_the_same_recipe(recipe: Recipe) -> None:
    written = yaml.safe_dump(recipe.to_dict(), allow_unicode=True)
    assert Recipe.from_dict(yaml.safe_load(written)) == recipe


@given(recipes(), recipes())
def test_id_and_hash_tell_recipes_apart_by_what_they_do(one: Recipe, other: Recipe) -> None:
    same = one.model_copy(update={"preset": "paper"}) == other.model_copy(
        update={"preset": "paper"}
    )
    assert (one.recipe_id == other.recipe_id) is same
    assert hash(one) == hash(Recipe.from_text(str(one)))


def test_line_says_only_what_was_chosen() -> None:
    assert str(Recipe.from_text(LINE)) == LINE
    assert str(Recipe()) == ""
    assert str(Recipe(guidance_scale=1.0, top_p=1, steps=8)) == "steps=8"
    full = "differential=75(rule=abs,pool=masked) zigzag=low_token_prob(guidance=0,first=3)"
    assert str(Recipe.from_text(full)) == (
        "differential=75(pool=masked) zigzag=low_token_prob(first=3)"
    )


def test_text_and_mapping_forms_of_a_choice_mean_the_same() -> None:
    line = Recipe.from_text(
        "steps=9 noise=abs_cos(0.5) differential=50(positive) zigzag=random(0,2)"
    )
    parts = {
        "steps": 9,
        "noise": {"curve": "abs_cos", "amplitude": 0.5},
        "differential": {"percent": 50, "rule": "positive"},
        "zigzag": {"rule": "random", "first": 2},
    }
    texts = {
        "steps": 9,
        "noise": "abs_cos(0.5)",
        "differential": "50(rule=positive)",
        "zigzag": "random(first=2)",
        "negative_prompt": "",
        "top_k": None,
    }
    assert line == Recipe.from_dict(parts) == Recipe.from_dict(texts)


def test_presets_differ_where_paper_and_code_do() -> None:
    choices = {"noise": "abs_cos", "differential": 75, "zigzag": "masked", "steps": 8}
    paper, official = (Recipe.from_dict(choices | {"preset": p}) for p in ("paper", "official"))
    assert paper.noise.amplitude == 1 and official.noise.amplitude == 2
    assert (paper.differential.rule, paper.differential.carry) == ("abs", "raw")
    assert (official.differential.rule, official.differential.carry) == ("positive", "modified")
    assert paper.zigzag.rule == "low_token_prob" and official.zigzag.rule == "high_max_prob"
    assert Recipe.from_dict(choices) == paper


def test_what_is_said_outright_wins_over_the_preset() -> None:
    text = "preset=official noise=abs_cos(1) differential=75(rule=abs) zigzag=random"
    recipe = Recipe.from_text(text)
    assert recipe.noise.amplitude == 1 and recipe.zigzag.rule == "random"
    assert (recipe.differential.rule, recipe.differential.carry) == ("abs", "modified")
    assert str(recipe) == text


def test_id_stays_that_of_the_first_release() -> None:
    # A change here orphans every stored sample.
    assert Recipe.from_text(LINE).recipe_id == "74e14f548e8c07eb"
    assert Recipe().recipe_id == "e3b0c44298fc1c14"


def test_id_does_not_ask_which_preset_spelled_a_recipe() -> None:
    official = Recipe.from_text("preset=official noise=abs_cos differential=75")
    spelled = Recipe.from_text("noise=abs_cos(2) differential=75(positive,modified)")
    assert official.recipe_id == spelled.recipe_id
    assert official.recipe_id != Recipe.from_text("noise=abs_cos differential=75").recipe_id
    assert Recipe(preset="official").recipe_id == Recipe().recipe_id


def test_masking_temperature_is_a_pair_or_falls_from_one_number_as_officially() -> None:
    assert Recipe.from_text("masking_temperature=4.5..0.5").masking_temperature == (4.5, 0.5)
    assert Recipe.from_dict({"masking_temperature": [3, 1]}).masking_temperature == (3, 1)
    assert Recipe.from_dict({"masking_temperature": "3..1"}).masking_temperature == (3, 1)
    assert Recipe.from_text("masking_temperature=3").masking_temperature == (3, 0.01)


def test_recipe_cannot_be_changed_and_equals_its_copy() -> None:
    recipe = Recipe.from_text(LINE)
    with pytest.raises(ValueError, match="frozen"):
        recipe.steps = 3  # type: ignore[misc]
    assert copy.deepcopy(recipe) == recipe


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("steps=-1", "steps must be greater than or equal to 1, got -1"),
        ("steps=0", "steps must be greater than or equal to 1, got 0"),
        ("steps=99999999999999999999999", "steps must be less than or equal to 4096, got 9999"),
        ("steps=1.5", "steps must be a valid integer, got 1.5"),
        ("step=3", "key 'step' is unknown; did you mean 'steps'?"),
        ("preset=papr", "preset 'papr' is unknown; did you mean 'paper'?"),
        ("guidance_scale=0.5", "guidance_scale must be greater than or equal to 1, got 0.5"),
        ("temperature=hot", "temperature must be a valid number, got 'hot'"),
        ("temperature=-1", "temperature must be greater than or equal to 0, got -1"),
        ("top_p=nan", "top_p must be a valid number"),
        ("top_p=1.1", "top_p must be less than or equal to 1, got 1.1"),
        ("top_k=0", "top_k must be greater than or equal to 1, got 0"),
        ("schedule=cosin", "schedule.name 'cosin' is unknown; did you mean 'cosine'?"),
        ("schedule=linear(2)", "schedule 'linear' takes no power, got 2"),
        ("schedule=one_minus_t_pow", "needs its power, as one_minus_t_pow(0.6)"),
        ("schedule=one_minus_t_pow(0)", "schedule.p must be greater than 0, got 0"),
        ("noise=abs_cs", "noise.curve 'abs_cs' is unknown; did you mean 'abs_cos'?"),
        ("noise=abs_cos(1,size=2)", "noise 'size' is unknown; known: amplitude, curve"),
        ("noise=abs_cos(1,amplitude=2)", "gives 'amplitude' twice"),
        ("noise=abs_cos(1,2,3)", "has too many arguments"),
        ("differential=101", "percent must be less than or equal to 100, got 101"),
        ("differential=75(rule=ab)", "differential.rule 'ab' is unknown; did you mean 'abs'?"),
        ("zigzag=lowest", "zigzag.rule 'lowest' is unknown"),
        ("steps=1 zigzag=random", "zigzag needs at least 2 steps"),
        ("steps=4 zigzag=random(first=4)", "zigzag first=4 must be below steps=4"),
        (
            "steps=4 differential=75 zigzag=recover",
            "differential cannot combine with zigzag rule=recover",
        ),
        ('negative_prompt="x"', "negative_prompt has no effect without guidance"),
        ("steps", "must be words key=value, stopped at 'steps'"),
        ("noise=abs_cos( steps=3", "stopped at 'noise=abs_cos( steps=3'"),
        ('steps=3 negative_prompt="x', "stopped at 'negative_prompt="),
        ("steps=3 steps=4", "key 'steps' comes twice"),
    ],
)
def test_wrong_texts_are_refused_in_one_sentence(text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        Recipe.from_text(text)
    assert message in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        (None, "must be a mapping of choices to values, got None"),
        ([1], "must be a mapping of choices to values, got [1]"),
        ({1: 2}, "must be a mapping of choices to values"),
        ({"steps": True}, "steps must be a valid integer, got True"),
        ({"steps": "16"}, "steps must be a valid integer, got '16'"),
        ({"temperature": False}, "temperature must be a valid number, got False"),
        ({"noise": {}}, "noise.curve is missing"),
        ({"noise": True}, "noise.curve 'True' is unknown"),
        ({"noise": ""}, "must have the form name(arguments), got ''"),
        ({"schedule": None}, "schedule must be a valid dictionary"),
        ({"zigzag": {"rule": ["a"]}}, "zigzag.rule"),
        ({"zigzag": {"rule": "random", "first": 0}}, "zigzag.first must be greater than or"),
        ({"masking_temperature": [1, 2, 3]}, "masking_temperature"),
        ({"masking_temperature": {"a": 1}}, "masking_temperature"),
        ({"negative_prompt": 3}, "negative_prompt must be a valid string, got 3"),
        ({"preset": ["paper"]}, "preset"),
    ],
)
def test_wrong_mappings_are_refused_in_one_sentence(choices: object, message: str) -> None:
    with pytest.raises(InputError) as caught:
        Recipe.from_dict(choices)
    assert message in str(caught.value) and "\n" not in str(caught.value)


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        Recipe.from_text(text)
    except InputError as error:
        assert "\n" not in str(error)


@given(
    st.dictionaries(
        st.sampled_from(sorted(Recipe.model_fields)),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
            max_leaves=4,
        ),
    )
)
def test_any_yaml_is_read_or_refused(choices: dict[str, object]) -> None:
    try:
        Recipe.from_dict(choices)
    except InputError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize(
    "text",
    [
        "steps=16",
        "schedule=linear",
        "masking_temperature=1..0",
        "zigzag=random",
        'guidance_scale=2 negative_prompt="x"',
        "differential=75(pool=masked)",
    ],
)
def test_autoregressive_models_refuse_what_only_masked_ones_can(text: str) -> None:
    with pytest.raises(InputError, match="does not apply to autoregressive models: the"):
        Recipe.from_text(text).check_family("autoregressive")


def test_families_take_the_choices_that_mean_something_to_them() -> None:
    shared = "guidance_scale=2 temperature=0.9 noise=abs_cos differential=75 top_k=9 top_p=0.5"
    Recipe.from_text(shared).check_family("autoregressive")
    Recipe.from_text(f"{LINE} top_k=9 top_p=0.5").check_family("masked")
    with pytest.raises(InputError, match="steps is missing: masked models need it"):
        Recipe.from_text(shared).check_family("masked")
    with pytest.raises(InputError, match="did you mean 'masked'"):
        Recipe().check_family("mask")


def test_unconditional_prediction_is_asked_for_when_it_counts() -> None:
    for text, asked in [
        ("steps=4", False),
        ("steps=4 guidance_scale=1.5", True),
        ("steps=4 zigzag=low_token_prob", True),
        ("steps=4 zigzag=low_token_prob(guidance=1)", False),
        ("steps=4 zigzag=random", False),
    ]:
        assert Recipe.from_text(text).uses_unconditional is asked


def test_choices_are_told_with_examples_that_can_be_made() -> None:
    for choice in CHOICES:
        guided = "" if choice.field == "guidance_scale" else "guidance_scale=2 "
        recipe = Recipe.from_text(guided + choice.example)
        assert choice.line and choice.source
        for family in ("masked", "autoregressive"):
            steps = {"steps": 16} if family == "masked" and recipe.steps is None else {}
            if family in choice.families:
                recipe.model_copy(update=steps).check_family(family)
            elif choice.example != "schedule=cosine":  # what they would have anyway
                with pytest.raises(InputError):
                    recipe.check_family(family)


def test_costs_are_linear_in_the_steps() -> None:
    assert Cost(3, -3)(64) == 189
    assert [str(c) for c in (Cost(3, -3), Cost(1), Cost(0), Cost(2, 1))] == [
        "3N−3",
        "N",
        "0",
        "2N+1",
    ]

import copy
import re
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from bakeoff.samplers.choice_table import CHOICES, Cost
from bakeoff.samplers.choices import (
    Differential,
    Jacobi,
    Momentum,
    Noise,
    Order,
    Parameters,
    Schedule,
    TemperatureSchedule,
    Zigzag,
)
from bakeoff.samplers.combinations import DIFFUSION_CHOICES, FAMILIES, why_not
from bakeoff.samplers.errors import InputError, unknown
from bakeoff.samplers.recipe import Recipe

LINE = (
    "steps=16 guidance_scale=2 schedule=one_minus_t_pow(0.6) noise=abs_cos(1) "
    "differential=75 zigzag=low_token_prob"
)


def floats(least: float, most: float = 1e3, *, open_below: bool = False) -> st.SearchStrategy:
    return st.floats(least, most, exclude_min=open_below)


def schedules() -> st.SearchStrategy:
    power = floats(0, open_below=True)
    powers, karras = ["pow_one_minus_t", "one_minus_t_pow", "log", "exp"], ["karras_a", "karras_b"]
    ends = {"begin": floats(0.5, 1), "end": floats(0, 0.49)}
    counts = {"counts": st.sampled_from(["masked", "revealed", "inclusive", "increments"])}
    names = st.sampled_from(["cosine", "linear", "arccos"])
    return (
        st.fixed_dictionaries({"name": names}, optional=counts)
        | st.fixed_dictionaries({"name": st.sampled_from(powers), "p": power}, optional=counts)
        | st.fixed_dictionaries(
            {"name": st.sampled_from(karras), "p": power}, optional=ends | counts
        )
    )


def orders() -> st.SearchStrategy:
    return st.fixed_dictionaries(
        {"rule": st.sampled_from(["confidence", "halton", "random"])},
        optional={"roll": st.booleans(), "known": st.sampled_from(["keep", "redraw"])},
    )


def temperature_schedules() -> st.SearchStrategy:
    return st.fixed_dictionaries(
        {"rule": st.sampled_from(["constant", "linear"])},
        optional={"end": floats(1e-3), "warmup": st.integers(0, 9)},
    )


def noises() -> st.SearchStrategy:
    return st.fixed_dictionaries(
        {"curve": st.sampled_from(list(Noise.model_fields["curve"].annotation.__args__))},
        optional={"amplitude": floats(0, open_below=True)},
    )


def differentials() -> st.SearchStrategy:
    return st.fixed_dictionaries(
        {"percent": floats(0, 100, open_below=True)},
        optional={
            "rule": st.sampled_from(["abs", "positive"]),
            "carry": st.sampled_from(["raw", "modified"]),
            "pool": st.sampled_from(["all", "masked"]),
            "last": st.booleans(),
            "compare": st.sampled_from(["calls", "steps"]),
        },
    )


def zigzags() -> st.SearchStrategy:
    rules = ["low_token_prob", "high_max_prob", "random", "recover", "masked"]
    return st.fixed_dictionaries(
        {"rule": st.sampled_from(rules)},
        optional={
            "guidance": floats(-20, 20),
            "start": st.integers(0, 5),
            "stop": st.integers(1, 9),
        },
    )


def momenta() -> st.SearchStrategy:
    return st.fixed_dictionaries(
        {"order": st.sampled_from([1, 2])},
        optional={
            "cap": floats(0, open_below=True),
            "rule": st.sampled_from(["derived", "paper_literal"]),
            "pool": st.sampled_from(["masked", "all"]),
            "space": st.sampled_from(["probabilities", "logits"]),
        },
    )


def recipes() -> st.SearchStrategy[Recipe]:
    """Any recipe that can be made."""
    choices = {
        "preset": st.sampled_from(["paper", "official"]),
        "steps": st.integers(2, 500),
        "guidance_scale": floats(1),
        "guidance_schedule": st.sampled_from(["constant", "linear"]),
        "temperature": st.just(0) | floats(1e-3),
        "temperature_schedule": temperature_schedules(),
        "masking_temperature": st.tuples(floats(0), floats(0)) | floats(0),
        "schedule": schedules(),
        "order": orders(),
        "drawn_mask": st.sampled_from(["keep", "suppress", "remask"]),
        "noise": noises(),
        "differential": differentials(),
        "zigzag": zigzags(),
        "top_k": st.integers(1, 10**9),
        "top_p": floats(0, 1, open_below=True),
        "negative_prompt": st.text(),
        "argmax_from": st.integers(0, 9),
        "guidance_interval": st.tuples(st.integers(0, 9), st.integers(0, 9)),
        "momentum": momenta(),
        "jacobi": st.integers(2, 100),
    }
    return st.fixed_dictionaries({}, optional=choices).map(made_or_none).filter(bool)


def made_or_none(choices: dict[str, Any]) -> Recipe | None:
    try:
        return Recipe.from_dict(choices)
    except InputError:
        return None


@given(recipes())
def test_text_form_reads_back_as_the_same_recipe(recipe: Recipe) -> None:
    assert "\n" not in str(recipe)
    assert Recipe.from_text(str(recipe)) == recipe


@given(recipes())
def test_yaml_form_reads_back_as_the_same_recipe(recipe: Recipe) -> None:
    written = yaml.safe_dump(recipe.to_dict())
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
    full = "differential=75(rule=abs,pool=masked) zigzag=low_token_prob(guidance=0,stop=3)"
    assert str(Recipe.from_text(full)) == (
        "differential=75(pool=masked) zigzag=low_token_prob(stop=3)"
    )


def test_text_and_mapping_forms_of_a_choice_mean_the_same() -> None:
    line = Recipe.from_text(
        "steps=9 noise=abs_cos(0.5) differential=50(positive) zigzag=random(0,1,2)"
    )
    parts = {
        "steps": 9,
        "noise": {"curve": "abs_cos", "amplitude": 0.5},
        "differential": {"percent": 50, "rule": "positive"},
        "zigzag": {"rule": "random", "start": 1, "stop": 2},
    }
    texts = {
        "steps": 9,
        "noise": "abs_cos(0.5)",
        "differential": "50(rule=positive)",
        "zigzag": "random(stop=2,start=1)",
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


def test_null_takes_back_what_a_choice_was() -> None:
    recipe = Recipe.from_dict({"steps": 4, "masking_temperature": None, "order": None})
    assert recipe == Recipe(steps=4)
    back = {"masking_temperature": None, "momentum": 1}
    assert Recipe.from_dict({"masking_temperature": "4..0"} | back) == Recipe.from_text(
        "momentum=1"
    )


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
        ("steps=4 zigzag=random(stop=4)", "zigzag stop=4 does not fit steps=4"),
        ("steps=4 zigzag=random(start=3)", "zigzag start=3 does not fit steps=4"),
        ("zigzag=random(start=3,stop=3)", "zigzag stop=3 must be above start=3"),
        ("schedule=karras_a", "schedule 'karras_a' needs its power, as karras_a(0.6)"),
        ("schedule=karras_b(2,begin=0.2,end=0.3)", "begin=0.2 must be above end=0.3"),
        ("schedule=karras_b(2,begin=1.1)", "schedule.begin must be less than or equal to 1"),
        ("schedule=cosine(begin=0.5)", "schedule 'cosine' takes no begin and end"),
        ("differential=75(last=maybe)", "differential.last must be a valid boolean, got 'maybe'"),
        ("differential=75(last=1)", "differential.last must be a valid boolean, got 1"),
        ("differential=75(compare=steps)", "compare=steps has no effect without zigzag"),
        ("momentum=3", "momentum.order must be less than or equal to 2, got 3"),
        ("momentum=1(rule=paper_literal)", "momentum rule=paper_literal needs order 2"),
        ("momentum=1(cap=2)", "momentum cap has no effect"),
        ("momentum=2(rule=paper_literal,space=logits)", "momentum space has no effect"),
        ("momentum=2(cap=0)", "momentum.cap must be greater than 0, got 0"),
        ("momentum=1 masking_temperature=3", "masking_temperature has no effect with momentum"),
        ("schedule=log", "schedule 'log' needs its power, as log(8)"),
        ("schedule=arccos(2)", "schedule 'arccos' takes no power, got 2"),
        ("schedule=arccos(counts=all)", "schedule.counts 'all' is unknown; known: "),
        ("order=halon", "order.rule 'halon' is unknown; did you mean 'halton'?"),
        ("order=random(roll=true)", "order roll has no effect with random: halton rolls"),
        ("order=halton masking_temperature=3", "no effect with order=halton: tokens stay"),
        ("order=halton zigzag=random masking_temperature=3", "no effect with order=halton"),
        ("momentum=1 order=halton(known=redraw)", "known=redraw cannot combine with momentum"),
        ("guidance_schedule=linear", "guidance_schedule=linear has no effect without guidance"),
        ("guidance_schedule=cosine", "guidance_schedule 'cosine' is unknown; known: constant"),
        ("temperature_schedule=linear", "linear needs its end, as linear(0.8)"),
        ("temperature_schedule=linear(0)", "end must be greater than or equal to 0.001, got 0"),
        ("temperature_schedule=constant(2)", "constant takes no end: linear does"),
        ("temperature_schedule=constant", "has no effect without warmup, as constant(warmup=1)"),
        ("temperature=0 temperature_schedule=linear(2)", "has no effect at temperature 0"),
        ("drawn_mask=skip", "drawn_mask 'skip' is unknown; known: keep, remask, suppress"),
        ("jacobi=8 order=halton", "jacobi cannot combine with order"),
        ("argmax_from=-1", "argmax_from must be greater than or equal to 0, got -1"),
        ("steps=4 argmax_from=4", "argmax_from=4 must be below steps=4"),
        ("argmax_from=2 temperature=0", "argmax_from has no effect at temperature 0"),
        ("guidance_interval=2..4", "guidance_interval=2..4 has no effect without guidance"),
        ("guidance_scale=2 guidance_interval=4..4", "guidance_interval=4..4 is empty"),
        ("guidance_scale=2 guidance_interval=4", "guidance_interval must be a valid tuple, got 4"),
        ("guidance_scale=2 steps=3 guidance_interval=2..4", "must end at steps=3 or before"),
        ("jacobi=1", "jacobi.window must be greater than or equal to 2, got 1"),
        ("jacobi=8 steps=4", "jacobi cannot combine with steps"),
        ("jacobi=8 differential=75", "differential cannot combine with jacobi"),
        ("row_evaluations=0", "row_evaluations must be a whole number from 1, got 0"),
        ("row_evaluations=1.5", "row_evaluations must be a whole number from 1, got 1.5"),
        ("row_evaluations=8 steps=4", "row_evaluations takes the place of steps"),
        ("row_evaluations=1 guidance_scale=2", "row_evaluations=1 is too small: 1 step costs 2"),
        ("row_evaluations=2 zigzag=random", "row_evaluations=2 is too small: 2 steps cost 3"),
        ("row_evaluations=8 jacobi=16", "jacobi cannot combine with row_evaluations: one is"),
        ("row_evaluations=4097", "4097 is too large: 4096 steps, the most there are, cost 4096"),
        ("row_evaluations=8193 guidance_scale=2", "the most there are, cost 8192"),
        (
            "row_evaluations=20 guidance_scale=2 guidance_interval=2..14",
            "must end at steps=11 or before (the 11 steps that row_evaluations=20 pays for)",
        ),
        (
            "row_evaluations=1 argmax_from=1",
            "below steps=1: steps count from 0 (the 1 step that row_evaluations=1 pays for)",
        ),
        ("temperature=1e-46", "temperature must be 0 or from 0.001 to 1000, got 1e-46"),
        ("temperature=1001", "temperature must be less than or equal to 1000, got 1001"),
        ("guidance_scale=1e39", "guidance_scale must be less than or equal to 1000, got 1e+39"),
        ("noise=const(1e38)", "noise.amplitude must be less than or equal to 1000, got 1e+38"),
        ("masking_temperature=1e39..0", "masking_temperature.0 must be less than or equal to 1000"),
        ("masking_temperature=0..1e39", "masking_temperature.1 must be less than or equal to 1000"),
        ("zigzag=masked(guidance=-1e9)", "zigzag.guidance must be greater than or equal to -1000"),
        ("zigzag=masked(guidance=1e9)", "zigzag.guidance must be less than or equal to 1000"),
        ("momentum=2(cap=1e38)", "momentum.cap must be less than or equal to 1000"),
        ("argmax_from=99999", "argmax_from must be less than or equal to 4096, got 99999"),
        ("guidance_scale=3 guidance_interval=5000..6000", "less than or equal to 4096, got 5000"),
        ("jacobi=99999", "jacobi.window must be less than or equal to 4096, got 99999"),
        ("row_evaluation=8", "key 'row_evaluation' is unknown; did you mean 'row_evaluations'?"),
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
        ({"zigzag": {"rule": ["a"]}}, "zigzag.rule"),
        ({"zigzag": {"rule": "random", "stop": 0}}, "zigzag.stop must be greater than or"),
        ({"momentum": {"order": True}}, "momentum.order must be a valid integer, got True"),
        ({"differential": {"percent": 9, "last": "true"}}, "last must be a valid boolean"),
        ({"guidance_interval": [1, 2, 3], "guidance_scale": 2}, "guidance_interval"),
        ({"row_evaluations": True}, "row_evaluations must be a whole number from 1, got True"),
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


@pytest.mark.parametrize("long", ["9" * 10_000, "x" * 10_000, "0." + "1" * 10_000, '"' * 10_001])
@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "{}=1",
        "a=1 {}",
        "preset={}",
        "steps={}",
        "temperature={}",
        "top_k={}",
        "schedule={}",
        "schedule={}({})",
        "noise=abs_cos({})",
        "noise=abs_cos({}=1)",
        "noise=abs_cos({}=1,{}=1)",
        "noise=abs_cos(1,2,{})",
        "differential={}",
        "zigzag=random({})",
        "guidance_interval={}..1",
        "row_evaluations={}",
        "{}=1 {}=1",
        'negative_prompt="\\x{}"',
        "jacobi=4 steps={}",
    ],
)
def test_long_texts_are_refused_in_a_short_sentence(text: str, long: str) -> None:
    with pytest.raises(InputError) as caught:
        Recipe.from_text(text.replace("{}", long))
    assert len(str(caught.value)) < 600


def test_an_unknown_name_of_any_length_is_told_short() -> None:
    assert len(str(unknown("model", "x" * 10_000, ["tiny"]))) < 200


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
        "differential=75(last=true)",
        "differential=75(compare=steps) zigzag=random",
        "momentum=1",
    ],
)
def test_autoregressive_models_refuse_what_only_masked_ones_can(text: str) -> None:
    with pytest.raises(InputError, match="does not apply to autoregressive models: "):
        Recipe.from_text(text).check_family("autoregressive")


def test_families_take_the_choices_that_mean_something_to_them() -> None:
    shared = (
        "guidance_scale=2 guidance_interval=1..9 temperature=0.9 argmax_from=3 noise=sin "
        "differential=75 top_k=9 top_p=0.5"
    )
    Recipe.from_text(shared).check_family("autoregressive")
    Recipe.from_text("jacobi=8 noise=sin").check_family("autoregressive")
    Recipe.from_text(f"{LINE} top_k=9 top_p=0.5").check_family("masked")
    with pytest.raises(InputError, match="jacobi=8 does not apply to masked models"):
        Recipe.from_text("jacobi=8").model_copy(update={"steps": 8}).check_family("masked")
    with pytest.raises(InputError, match="steps is missing: masked models need it"):
        Recipe.from_text(shared).check_family("masked")
    with pytest.raises(InputError, match="did you mean 'masked'"):
        Recipe().check_family("mask")


def test_diffusion_models_take_steps_and_guidance_alone() -> None:
    Recipe.from_text('steps=4 guidance_scale=3 negative_prompt="a cat"').check_family("diffusion")
    for name in set(Recipe.model_fields) - set(DIFFUSION_CHOICES):
        assert why_not(name, "diffusion")
    with pytest.raises(InputError, match=r"noise=sin.* does not apply to diffusion models: "):
        Recipe.from_text("steps=4 noise=sin").check_family("diffusion")
    with pytest.raises(InputError, match="steps is missing: diffusion models need it"):
        Recipe().check_family("diffusion")


def test_positions_beyond_a_models_tokens_are_refused() -> None:
    guided = Recipe.from_text("guidance_scale=3 guidance_interval=60..70")
    argmax = Recipe.from_text("argmax_from=64")
    guided.check_length(70)
    argmax.check_length(65)
    Recipe().check_length(1)
    with pytest.raises(InputError, match=r"=60\.\.70 must end at 69 or before: .* draws 69 tokens"):
        guided.check_length(69)
    with pytest.raises(InputError, match=r"argmax_from=64 must be below 64: .* draws 64 tokens"):
        argmax.check_length(64)
    scarce = Recipe.from_text("differential=1")
    scarce.check_length(101)
    with pytest.raises(InputError, match="differential=1 has no effect: 1 percent of the 99 token"):
        scarce.check_length(100)
    with pytest.raises(InputError) as caught:
        Recipe(guidance_scale=2.0, negative_prompt="x" * 10_000).check_family("autoregressive")
    assert len(str(caught.value)) < 200


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
        recipe = choice.recipe
        assert choice.line and choice.source and choice.families
        for family in FAMILIES:
            steps = {"steps": 16} if family != "autoregressive" and recipe.steps is None else {}
            if family in choice.families:
                recipe.model_copy(update=steps).check_family(family)
            elif choice.example != "schedule=cosine":  # what they would have anyway
                with pytest.raises(InputError):
                    recipe.check_family(family)


def test_every_parameter_of_a_choice_is_told_of() -> None:
    """Every parameter, and every value of those that have names."""
    told, values = set(), {("zigzag", "rule", "masked")}
    for choice in CHOICES:
        parameters = getattr(choice.recipe, choice.field, None)
        if isinstance(parameters, Parameters):
            told |= {(choice.field, name) for name in parameters.changed}
            values |= {(choice.field, name, value) for name, value in parameters}
    assert "zigzag=masked" in {choice.example for choice in CHOICES}
    specs = [Schedule, Order, TemperatureSchedule, Noise, Differential, Zigzag, Momentum, Jacobi]
    assert {*Parameters.__subclasses__()} == {*specs}
    for spec in specs:
        field = re.sub("(?<=[a-z])(?=[A-Z])", "_", spec.__name__).lower()
        for name, info in spec.model_fields.items():
            assert (field, name) in told
            for value in getattr(info.annotation, "__args__", ()):
                assert not isinstance(value, str) or (field, name, value) in values


def test_costs_are_told_as_people_write_them() -> None:
    assert Cost(3, -3)(64) == 189
    told = [str(c) for c in (Cost(3, -3), Cost(1), Cost(0), Cost(-1, 12), Cost(0, 18))]
    assert told == ["+3N−3", "+N", "0", "−N+12", "+18"]


def test_karras_forms_from_one_to_zero_are_the_plain_powers() -> None:
    a, b = Recipe.from_text("schedule=karras_a(0.6)"), Recipe.from_text("schedule=karras_b(2,1,0)")
    assert (str(a), str(b)) == ("schedule=pow_one_minus_t(0.6)", "schedule=one_minus_t_pow(2)")
    text = "schedule=karras_b(0.6,begin=0.98)"
    assert str(Recipe.from_text(text)) == text
    assert Recipe.from_dict({"schedule": {"name": "karras_b", "p": 0.6, "begin": 0.98}}) == (
        Recipe.from_text(text)
    )


def test_booleans_are_written_as_in_yaml() -> None:
    text = "differential=75(last=true)"
    assert str(Recipe.from_text(text)) == text
    assert Recipe.from_text(text).differential.last is True
    assert str(Recipe.from_text("differential=75(last=false)")) == "differential=75"


def test_guidance_holds_in_its_interval() -> None:
    recipe = Recipe.from_text("guidance_scale=3 guidance_interval=1..3")
    assert [recipe.guidance_at(step, 5) for step in range(5)] == [1, 3, 3, 1, 1]
    assert Recipe.from_dict({"guidance_scale": 3, "guidance_interval": [1, 3]}) == recipe
    grown = Recipe.from_text(f"{recipe} guidance_schedule=linear")
    assert [grown.guidance_at(step, 5) for step in range(5)] == [1, 1.5, 2, 1, 1]
    assert Recipe.from_text("guidance_scale=3 guidance_schedule=linear").guidance_at(0, 1) == 1


@pytest.mark.parametrize(
    ("text", "factors"),
    [
        ("temperature=0.5", [2, 2, 2, 2, 2]),
        ("temperature=0.5 temperature_schedule=constant(warmup=2)", [1, 1, 2, 2, 2]),
        ("temperature_schedule=linear(0.5)", [1, 1.25, 1.5, 1.75, 2]),
        ("temperature_schedule=linear(0.5,warmup=1)", [0.5, 1.25, 1.5, 1.75, 2]),
    ],
)
def test_one_over_the_temperature_goes_straight(text: str, factors: list[float]) -> None:
    recipe = Recipe.from_text(text)
    found = [1 / recipe.temperature_at(step, 5) for step in range(5)]
    assert found == pytest.approx(factors)
    assert 1 / recipe.temperature_at(0, 1) == pytest.approx(factors[0])


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("row_evaluations=128", 128),
        ("row_evaluations=128 guidance_scale=2", 64),
        ("row_evaluations=129 guidance_scale=2 zigzag=recover", 64),
        ("row_evaluations=128 guidance_scale=2 zigzag=masked", 26),  # 5N - 3
        ("row_evaluations=127 guidance_scale=2 zigzag=masked", 26),
        ("row_evaluations=126 guidance_scale=2 zigzag=masked", 25),
        ("row_evaluations=128 guidance_scale=2 zigzag=random(stop=4)", 60),  # 2N + 8
        ("row_evaluations=128 guidance_scale=2 guidance_interval=0..8", 120),  # N + 8
        ("row_evaluations=4096", 4096),
        ("row_evaluations=8192 guidance_scale=2", 4096),
    ],
)
def test_row_evaluations_become_as_many_steps_as_they_pay_for(text: str, steps: int) -> None:
    recipe = Recipe.from_text(text)
    assert recipe.steps == steps
    assert "row_evaluations" not in str(recipe)
    assert Recipe.from_text(str(recipe)) == recipe


def test_grid_is_the_product_of_lists_under_names_of_what_differs() -> None:
    grid = Recipe.grid(steps=[4, 8], noise=["abs_cos", {"curve": "sin", "amplitude": 2}], top_k=9)
    assert {name: str(recipe) for name, recipe in grid.items()} == {
        "steps-4.noise-abs_cos-1": "steps=4 noise=abs_cos(1) top_k=9",
        "steps-4.noise-sin-2": "steps=4 noise=sin(2) top_k=9",
        "steps-8.noise-abs_cos-1": "steps=8 noise=abs_cos(1) top_k=9",
        "steps-8.noise-sin-2": "steps=8 noise=sin(2) top_k=9",
    }
    assert list(Recipe.grid(steps=4)) == ["only"]


def test_grid_leaves_out_what_means_the_same() -> None:
    grid = Recipe.grid(preset=["paper", "official"], noise=[None, "abs_cos"])
    assert [str(recipe) for recipe in grid.values()] == [
        "",
        "noise=abs_cos(1)",
        "preset=official noise=abs_cos(2)",
    ]


def test_grid_names_stay_short_and_apart() -> None:
    prompts = ["a b", "a-b", "x" * 99]
    names = list(Recipe.grid(guidance_scale=2.0, negative_prompt=prompts))
    assert names[0] == "negative_prompt-a-b" and len(set(names)) == 3
    assert all(re.fullmatch("[A-Za-z0-9._-]{1,64}", name) for name in names)


def test_grid_names_the_combination_that_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        Recipe.grid(differential=[75], zigzag=["random", "recover"], steps=[4, 8])
    assert str(caught.value).startswith(
        "grid zigzag=recover steps=4: recipe differential cannot combine with zigzag rule=recover"
    )

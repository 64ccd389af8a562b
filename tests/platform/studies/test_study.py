"""A study file says everything, and whatever is wrong in it is told in one sentence."""

from pathlib import Path

import pytest

from bakeoff.platform.studies.benchmarks import own_prompts
from bakeoff.platform.studies.study import Study, load_study, read_study, shipped_studies
from bakeoff.samplers.catalog import MODELS
from bakeoff.samplers.errors import InputError

GOOD = """
name: good
benchmark: {name: shapes, split: held_out, limit: 2}
seeds: [0, 1]
metrics: [composition, clip_score]
baseline: tiny-meissonic/vanilla
models:
  - model: tiny-meissonic
    recipes:
      vanilla: steps=12 guidance_scale=2
      control: {like: vanilla, seed_offset: 1000}
      plain:
"""


def read(text: str, folder: Path = Path()) -> Study:
    return read_study(text, source="study.yaml", folder=folder)


def test_entries_are_models_times_recipes() -> None:
    entries = {entry.name: entry for entry in read(GOOD).entries}
    vanilla = entries["tiny-meissonic/vanilla"]
    assert str(vanilla.recipe) == "steps=12 guidance_scale=2"
    assert vanilla.baseline
    assert not entries["tiny-meissonic/control"].baseline
    assert entries["tiny-meissonic/plain"].recipe == MODELS["tiny-meissonic"].recipe


def test_a_control_differs_by_its_seeds_alone() -> None:
    vanilla, control, _ = read(GOOD).entries
    assert control.recipe == vanilla.recipe
    assert (vanilla.seeds, control.seeds) == ((0, 1), (1000, 1001))


def test_a_recipe_changes_the_one_that_it_is_like() -> None:
    text = GOOD.replace("plain:", "noisy: {like: control, noise: abs_cos(1), steps: 8}")
    assert str(read(text).entries[2].recipe) == "steps=8 guidance_scale=2 noise=abs_cos(1)"


def test_row_evaluations_take_the_place_of_steps() -> None:
    text = GOOD.replace("plain:", "paid: {like: vanilla, row_evaluations: 40, zigzag: masked}")
    assert read(text).entries[2].recipe.steps == 8  # 5N - 3


GRID = (
    "    grid: {like: vanilla, noise: [null, abs_cos(1)], zigzag: [null, {rule: random, stop: 2}]}"
)


def test_a_grid_makes_an_entry_of_every_combination() -> None:
    entries = {entry.name.partition("/")[2]: entry for entry in read(GOOD + GRID).entries}
    recipes = {
        "noise-none.zigzag-random-stop-2": "zigzag=random(stop=2)",
        "noise-abs_cos-1.zigzag-none": "noise=abs_cos(1)",
        "noise-abs_cos-1.zigzag-random-stop-2": "noise=abs_cos(1) zigzag=random(stop=2)",
    }
    # neither choice is vanilla, which is there already
    assert list(entries) == ["vanilla", "control", "plain", *recipes]
    for name, text in recipes.items():
        assert str(entries[name].recipe) == f"steps=12 guidance_scale=2 {text}"


def test_a_grid_alone_is_enough_and_may_shift_its_seeds() -> None:
    start = GOOD.replace("baseline: tiny-meissonic/vanilla\n", "").partition("    recipes:")[0]
    text = start + "    grid: {steps: [2, 4], masking_temperature: [2..0, [3, 1]], seed_offset: 9}"
    study = read(text)
    assert [entry.name.partition("/")[2] for entry in study.entries] == [
        "steps-2.masking_temperature-2..0",
        "steps-2.masking_temperature-3..1",
        "steps-4.masking_temperature-2..0",
        "steps-4.masking_temperature-3..1",
    ]
    assert {entry.seeds for entry in study.entries} == {(9, 10)}


@pytest.mark.parametrize(
    ("grid", "sentence"),
    [
        ("{steps: []}", "grid steps is empty: give at least one value"),
        ("{}", "models[0].grid is empty: give at least one"),
        ("[1]", "models[0].grid must be a valid dictionary"),
        ("{step: [1, 2]}", "grid key 'step' is unknown; did you mean 'steps'?"),
        (
            "{like: vanilla, differential: [75], zigzag: [random, recover]}",
            "grid zigzag=recover: recipe differential cannot combine with zigzag rule=recover",
        ),
        ("{like: [a]}", "grid: like \"['a']\" is unknown"),
        (
            f"{{steps: {list(range(1, 65))}, top_k: {list(range(1, 65))}}}",
            "grid holds 4096 recipes: at most 1024 are allowed",
        ),
    ],
)
def test_a_wrong_grid_is_told_in_one_sentence(grid: str, sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        read(f"{GOOD}    grid: {grid}")
    assert str(caught.value).startswith("study.yaml: models[0].grid")
    assert sentence in str(caught.value) and "\n" not in str(caught.value)


def test_text_and_mapping_spell_the_same_recipe() -> None:
    text = GOOD.replace("steps=12 guidance_scale=2", "{steps: 12, guidance_scale: 2}")
    assert read(text).entries[0].recipe == read(GOOD).entries[0].recipe


def test_the_first_entry_is_the_baseline_unless_one_is_named() -> None:
    text = GOOD.replace("baseline: tiny-meissonic/vanilla\n", "")
    assert [entry.baseline for entry in read(text).entries] == [True, False, False]


def test_limit_takes_the_first_prompts_of_each_task() -> None:
    every = read(GOOD.replace(", limit: 2", "")).prompts
    first = read(GOOD).prompts
    tasks = {prompt.task for prompt in every}
    assert len(tasks) == 6
    for task in tasks:
        assert [p for p in first if p.task == task] == [p for p in every if p.task == task][:2]


def test_prompts_may_come_from_a_file_beside_the_study(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("a red circle\n\n  two rings \n", encoding="utf-8")
    text = GOOD.replace("benchmark: {name: shapes, split: held_out, limit: 2}", "prompts: mine.txt")
    study = read(text.replace("composition, ", ""), tmp_path)
    assert [prompt.prompt for prompt in study.prompts] == ["a red circle", "two rings"]
    assert study.benchmark == "prompts"


def test_a_prompt_is_known_by_its_text_wherever_it_stands() -> None:
    one, two = own_prompts(["a dog"], "x"), own_prompts(["a cat", "a dog"], "y")
    assert one[0] == two[1]


def test_a_checkpoint_folder_is_a_model(checkpoints: Path) -> None:
    text = GOOD.replace("model: tiny-meissonic", "path: masked\n    name: mine")
    text = text.replace("tiny-meissonic/", "mine/").replace("plain:", "short: steps=4")
    study = read(text, checkpoints)
    assert study.entries[0].name == "mine/vanilla"
    assert study.entries[0].model.family == "masked"
    assert Path(study.entries[0].model.location) == checkpoints / "masked"


WAYS = """
name: ways
prompts: [a red circle]
metrics: [clip_score]
models:
  - {model: tiny-meissonic, recipes: {vanilla: }}
  - {model: tiny-meissonic, name: half, dtype: bfloat16, compiled: true, recipes: {vanilla: }}
"""


def test_a_model_may_come_again_in_another_dtype_under_another_name() -> None:
    plain, half = (entry.model for entry in read(WAYS).entries)
    assert (plain.name, plain.dtype, plain.compiled) == ("tiny-meissonic", "float32", False)
    assert (half.name, half.dtype, half.compiled) == ("half", "bfloat16", True)
    assert plain.location == half.location
    with pytest.raises(InputError, match="named twice: join the recipes or set name"):
        read(WAYS.replace("name: half, ", ""))
    with pytest.raises(InputError) as caught:
        read(WAYS.replace("bfloat16", "half"))
    sentence = "study.yaml: models[1].dtype must be float32 or bfloat16, got 'half'"
    assert str(caught.value) == sentence


@pytest.mark.parametrize("name", shipped_studies())
def test_shipped_studies_are_valid_and_carry_a_control(name: str) -> None:
    study = load_study(name)
    (baseline,) = [entry for entry in study.entries if entry.baseline]
    controls = [
        entry
        for entry in study.entries
        if entry.model == baseline.model and entry.recipe == baseline.recipe and entry != baseline
    ]
    assert len(controls) == 1


def test_a_shipped_study_is_also_found_by_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_study("studies/embedded.yaml") == load_study("embedded")
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies/embedded.yaml").write_text(GOOD)
    assert load_study("studies/embedded.yaml").name == "good"  # one's own file comes first


def test_the_design_choices_are_asked_of_enough_recipes_and_prompts() -> None:
    study = load_study("design-choices")
    names = [entry.name for entry in study.entries if entry.model.family == "masked"]
    assert len(names) >= 24 and len(study.prompts) >= 200
    readings = {name.removesuffix("-official") for name in names if name.endswith("-official")}
    assert len(readings) == 5 and readings <= set(names)


def test_a_split_may_join_the_others() -> None:
    both = read(GOOD.replace("held_out, limit: 2", "all")).prompts
    splits = [
        read(GOOD.replace("held_out, limit: 2", split)).prompts for split in ("held_out", "train")
    ]
    assert both == (*splits[0], *splits[1]) and len(both) == 240
    assert len({prompt.prompt_id for prompt in both}) == 240


def test_traces_are_off_unless_asked_for() -> None:
    assert not read(GOOD).traces
    assert read(GOOD + "traces: true\n").traces


def test_the_embedded_study_makes_at_least_500_images() -> None:
    study = load_study("embedded")
    assert len(study.prompts) * sum(len(entry.seeds) for entry in study.entries) >= 500
    assert len(load_study("embedded", limit=1).prompts) == 6


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (("model: tiny", "model: tyni"), "models[0].model 'tyni-meissonic' is unknown; did you mean 'tiny-meissonic'?"),
        (("name: shapes", "name: shape"), "benchmark 'shape' is unknown; did you mean 'shapes'?"),
        (("held_out", "heldout"), "split of benchmark 'shapes' 'heldout' is unknown; did you mean 'held_out'?"),
        (("clip_score]", "clip_scores]"), "metrics[1] 'clip_scores' is unknown; did you mean 'clip_score'?"),
        (("clip_score]", "composition]"), "metrics[1] 'composition' is named twice: name each metric once"),
        (("vanilla: steps=12", "vanilla: step=16"), "models[0].recipes.vanilla: recipe key 'step' is unknown; did you mean 'steps'?"),
        (("steps=12", "steps=-3"), "models[0].recipes.vanilla: recipe steps must be greater than or equal to 1, got -3"),
        (("steps=12 ", ""), "models[0].recipes.vanilla: recipe steps is missing: masked models need it, as steps=16"),
        (("control: {like", "vanilla: {like"), "line 11: the name 'vanilla' comes twice"),
        (("like: vanilla", "like: vanila"), "models[0].recipes.control: like 'vanila' is unknown; did you mean 'vanilla'?"),
        (("like: vanilla", "like: [a]"), "models[0].recipes.control: like \"['a']\" is unknown; known: default, vanilla"),
        (("benchmark: {name: shapes, split: held_out, limit: 2}", 'prompts: "a\\0b"'), "prompts 'a\\x00b' holds a null character, which no path may"),
        (("model: tiny-meissonic", 'path: "a\\0b"'), "models[0].path 'a\\x00b' holds a null character, which no path may"),
        (("model: tiny-meissonic", f"path: {'a' * 9999}"), "models[0].path 'aaaa"),
        (("{like: vanilla, ", "{<<: {like: vanilla}, <<: {like: plain}, "), "line 11: the name '<<' comes twice"),
        (("{like: vanilla, ", "{<<: [3], like: vanilla, "), "line 11: expected a mapping or a list of mappings for merging"),
        (("1000", "-1"), "models[0].recipes.control: seed_offset must be a whole number from 0, got -1"),
        (("seed_offset: 1000", "seed_offset: 1"), "tiny-meissonic/control has the recipe and seeds of tiny-meissonic/vanilla: change its recipe, or give it a seed_offset as a control"),
        (("seeds: [0, 1]", "seeds: [0, 0]"), "seeds [0, 0] name a seed twice: name each seed once"),
        (("seeds: [0, 1]", "seeds: []"), "seeds is empty: give at least one"),
        (("seeds: [0, 1]", "seeds: [true]"), "seeds[0] must be a valid integer, got True"),
        (("seeds: [0, 1]", "seeds: [-1]"), "seeds[0] must be greater than or equal to 0, got -1"),
        (("baseline: tiny-meissonic/vanilla", "baseline: vanilla"), "baseline 'vanilla' is unknown; known: tiny-meissonic/control, tiny-meissonic/plain, tiny-meissonic/vanilla"),
        (("metrics:", "metric:"), "key 'metric' is unknown; did you mean 'metrics'?"),
        (("metrics:", "split: {chosen: 1.5}\nmetrics:"), "split.chosen must be less than 1, got 1.5"),
        (("metrics:", "split: {chose: 0.5}\nmetrics:"), "split key 'chose' is unknown; did you mean 'chosen'?"),
        (("split:", "splot:"), "benchmark key 'splot' is unknown; did you mean 'split'?"),
        (("recipes:", "recipies:"), "models[0] key 'recipies' is unknown; did you mean 'recipes'?"),
        (("name: good", "name: ../good"), "name '../good' must be letters, digits, '.', '_' and '-' only"),
        (("control:", "a/b:"), "models[0].recipes.a/b 'a/b' must be letters, digits, '.', '_' and '-' only"),
        (("limit: 2", "limit: 0"), "benchmark.limit must be greater than or equal to 1, got 0"),
        (("limit: 2}", "limit: 2}\ntraces: 1"), "traces must be a valid boolean, got 1"),
        (("limit: 2}", "limit: 2}\nprompts: [a]"), "give either benchmark or prompts, and not both"),
        (("model: tiny-meissonic", "path: nowhere"), "models[0].path: "),
        (("  - model: tiny-meissonic", "  - name: x"), "models[0] needs either model or path, and not both"),
        (("plain:", "plain: 7"), "models[0].recipes.plain: recipe must be a text or a mapping of choices, got 7"),
        (("benchmark:", "# benchmark:"), "give either benchmark or prompts, and not both"),
        (("metrics: [composition, clip_score]", ""), "metrics is missing"),
        (("name: good", "name: [good"), "line 3: "),
    ],
)  # fmt: skip
def test_a_wrong_study_is_told_in_one_sentence(change: tuple[str, str], sentence: str) -> None:
    assert change[0] in GOOD
    with pytest.raises(InputError) as caught:
        read(GOOD.replace(*change, 1))
    assert str(caught.value).startswith(f"study.yaml: {sentence}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("prompts", "sentence"),
    [
        ("[]", "prompts is empty: give at least one prompt"),
        ("[' ']", "prompts[0] is blank: give a prompt"),
        ("[a dog, a dog]", "prompts holds 'a dog' twice: name each prompt once"),
        ('["a\\nb"]', "prompts[0] 'a\\nb' holds a line break or control character"),
        ('["\\ud800"]', "prompts[0] '\\ud800' holds a line break or control character"),
        ("[1]", "prompts must be a list of texts or a file's path, got [1]"),
        ("empty.txt", "prompts file {folder}/empty.txt is empty: give at least one prompt"),
        (
            "absent.txt",
            "prompts file {folder}/absent.txt cannot be read: No such file or directory",
        ),
        ("latin.txt", "prompts file {folder}/latin.txt is not UTF-8 text"),
    ],
)
def test_wrong_prompts_are_told(tmp_path: Path, prompts: str, sentence: str) -> None:
    (tmp_path / "empty.txt").write_text("\n \n")
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    text = GOOD.replace(
        "benchmark: {name: shapes, split: held_out, limit: 2}", f"prompts: {prompts}"
    )
    with pytest.raises(InputError) as caught:
        read(text.replace("composition, ", ""), tmp_path)
    assert str(caught.value) == f"study.yaml: {sentence.format(folder=tmp_path)}"


@pytest.mark.parametrize(
    ("limit", "stops"),
    [("false", None), ("true", 1), ("3", 3), ("0.1", 8), ("0.001", 1)],
)
def test_fail_on_error_is_a_yes_or_no_a_count_or_a_share(limit: str, stops: int | None) -> None:
    study = read(GOOD + f"fail_on_error: {limit}\n")
    assert study.images == 72
    assert next((n for n in range(73) if study.is_failing(n)), None) == stops


@pytest.mark.parametrize("limit", ["0", "1.0", "-1", "1.5", "many", ".nan", "[1]", "null"])
def test_another_fail_on_error_is_refused(limit: str) -> None:
    allowed = "fail_on_error must be true, false, a count from 1 or a share between 0 and 1, got "
    with pytest.raises(InputError) as caught:
        read(GOOD + f"fail_on_error: {limit}\n")
    assert allowed in str(caught.value)


@pytest.mark.parametrize("metric", ["composition", "kid_tiny_clip"])
def test_a_metric_without_what_it_needs_is_refused(metric: str) -> None:
    text = GOOD.replace("benchmark: {name: shapes, split: held_out, limit: 2}", "prompts: [a dog]")
    text = text.replace("[composition, clip_score]", f"[{metric}]")
    with pytest.raises(
        InputError, match=rf"'{metric}' needs .*'prompts' has not; it can take clip"
    ):
        read(text)


@pytest.mark.parametrize("text", ["", "just words", "- a\n- b", "{a: b", "\x00", "a: !!python/x 1"])
def test_what_is_no_study_is_told(text: str) -> None:
    with pytest.raises(InputError, match=r"^study\.yaml: ") as caught:
        read(text)
    assert "\n" not in str(caught.value)


def test_a_recipe_for_the_other_family_is_refused_with_the_reason() -> None:
    text = GOOD.replace("tiny-meissonic", "tiny-llamagen")
    with pytest.raises(InputError, match="steps=12 does not apply to autoregressive models"):
        read(text)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("embeded", "study 'embeded' is unknown; did you mean 'embedded'?"),
        ("absent.yaml", "study 'absent.yaml' does not exist"),
        ("absent/study", "study 'absent/study' does not exist"),
        ("studies/absent.yaml", "study 'studies/absent.yaml' does not exist"),
    ],
)
def test_a_study_that_is_not_there_is_told(name: str, sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        load_study(name)
    assert str(caught.value) == sentence


def test_a_folder_is_no_study(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read: Is a directory"):
        load_study(str(tmp_path))


def test_merge_keys_share_choices_and_give_way_to_what_is_written() -> None:
    text = GOOD.replace("vanilla: steps=12 guidance_scale=2", "vanilla: &v {steps: 12, top_k: 9}")
    text = text.replace("control: {like: vanilla,", "control: {<<: *v,")
    text = text.replace("plain:", "plain: {<<: [*v, {top_p: 0.5, steps: 3}], top_k: 7}")
    vanilla, control, plain = read(text).entries
    assert control.recipe == vanilla.recipe and control.seeds == (1000, 1001)
    assert str(plain.recipe) == "steps=12 top_k=7 top_p=0.5"


def test_a_mapping_that_is_merged_before_it_is_read_has_no_key_twice() -> None:
    noise = "&b {<<: {amplitude: 2}, amplitude: 1, curve: abs_cos}"
    text = GOOD.replace("plain:", f"plain: {{steps: 4, noise: {noise}}}\n      last: {{<<: *b}}")
    with pytest.raises(InputError, match=r"recipes\.last: recipe key"):
        read(text)


def bomb(levels: int, inner: str) -> str:
    """Nested YAML whose every level names the one below ten times."""
    lines = ["x0: &a0 {like: vanilla}"]
    for level in range(1, levels):
        below = ", ".join([f"*a{level - 1}"] * 10)
        lines.append(f"x{level}: &a{level} {inner.format(below)}")
    return "{" + ", ".join(lines) + "}"


@pytest.mark.parametrize("inner", ["[{}]", "{{<<: [{}]}}"], ids=["aliases", "merges"])
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("plain:", "plain: BOMB"),
        ("plain:", "plain: {like: BOMB}"),
        ("plain:", "plain: {preset: BOMB}"),
        ("plain:", "plain: {steps: 4, noise: {curve: BOMB}}"),
        ("plain:", "plain: {steps: BOMB}"),
        ("plain:", "plain: {seed_offset: BOMB}"),
        ("plain:", "plain: [BOMB]"),
        ("recipes:", "grid: {steps: BOMB}\n    recipes:"),
        ("recipes:", "grid: {steps: [2, BOMB]}\n    recipes:"),
        ("recipes:", f"grid: {{{'a' * 999}: [2, 3]}}\n    recipes:"),
        ("plain:", f"plain: {{steps: 0x{'f' * 9999}}}"),
        ("plain:", f"plain: {{'{'a' * 999}': 1}}"),
        ("seeds: [0, 1]", "seeds: BOMB"),
        ("name: good", "name: BOMB"),
        ("name: good", f"name: {'/' * 9999}"),
        ("name: good", f"name: good\n? {'a' * 999}\n: 1"),
        ("baseline: ", f"baseline: {'a' * 9999}"),
        ("model: ", f"model: {'a' * 9999}"),
        ("benchmark: {name: shapes", f"benchmark: {{name: {'a' * 9999}"),
        ("benchmark: {name: shapes, split: held_out, limit: 2}", "prompts: [BOMB]"),
    ],
)
def test_errors_stay_short_whatever_is_given(old: str, new: str, inner: str) -> None:
    assert old in GOOD
    with pytest.raises(InputError) as caught:
        read(GOOD.replace(old, new.replace("BOMB", bomb(9, inner)), 1))
    assert len(str(caught.value)) < 500 and "\n" not in str(caught.value)

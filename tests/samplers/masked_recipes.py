"""Random recipes of masked models, every choice in every combination that is allowed."""

from hypothesis import strategies as st

from bakeoff.samplers.errors import InputError
from bakeoff.samplers.recipe import Recipe


def either(*texts: str) -> st.SearchStrategy[str]:
    """Each of the texts, or nothing of them."""
    return st.sampled_from(["", *texts])


CHOSEN = (
    st.integers(1, 16).map(lambda n: f"steps={n}"),
    either("guidance_scale=3.5"),
    either("guidance_interval=0..1", "guidance_interval=1..3"),
    either("guidance_schedule=linear"),
    either("temperature=0", "temperature=0.7", "temperature=2"),
    either("temperature_schedule=linear(0.5)", "temperature_schedule=linear(2,warmup=2)")
    | either("temperature_schedule=constant(warmup=1)"),
    either("masking_temperature=0..0", "masking_temperature=4.5"),
    either("schedule=linear", "schedule=one_minus_t_pow(0.6)", "schedule=pow_one_minus_t(3)")
    | either("schedule=karras_a(2,begin=0.7,end=0.3)", "schedule=karras_b(0.5,begin=0.9)")
    | either("schedule=arccos(counts=revealed)", "schedule=linear(counts=inclusive)")
    | either("schedule=arccos(counts=increments)", "schedule=cosine(counts=increments)"),
    either("order=halton", "order=halton(roll=true)", "order=halton(known=redraw)")
    | either("order=random", "order=confidence(known=redraw)"),
    either("drawn_mask=suppress", "drawn_mask=remask"),
    either("noise=abs_cos", "noise=half_then_full(2)", "noise=sin(1)", "noise=const(0.5)"),
    either("differential=75", "differential=50(last=true)", "differential=75(compare=steps)")
    | either("differential=100(rule=positive,carry=modified,pool=masked)"),
    either("zigzag=low_token_prob", "zigzag=high_max_prob(guidance=-1)", "zigzag=recover")
    | either("zigzag=random(stop=2)", "zigzag=low_token_prob(guidance=1,start=1,stop=4)"),
    either("momentum=1", "momentum=2", "momentum=2(rule=paper_literal)")
    | either("momentum=1(pool=all)", "momentum=2(rule=paper_literal,pool=all)")
    | either("momentum=2(cap=0.5,space=logits)"),
    either("argmax_from=0", "argmax_from=3"),
    either("top_k=3", "top_p=0.5"),
)


def made_or_none(texts: tuple[str, ...]) -> Recipe | None:
    try:
        recipe = Recipe.from_text(" ".join(text for text in texts if text))
        recipe.check_family("masked")
    except InputError:
        return None
    return recipe


RECIPES = st.tuples(*CHOSEN).map(made_or_none).filter(bool)
# of networks that predict codes alone, and never the mask
OF_CODES = RECIPES.map(lambda recipe: recipe.model_copy(update={"drawn_mask": "keep"}))

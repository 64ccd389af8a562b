"""MaskGIT's recipes as published, by form and use.

The guidance scale here is one plus the published weight w, and the temperature one over the
published factor on the logits. The original adds noise times 4.5 (1 - (i + 1)/N) to the confidence
of step i: a masking temperature from 4.5 (1 - 1/N) to 0, here for its N.
"""

V1 = "guidance_schedule=linear schedule=arccos(counts=increments)"
HALTON = "steps=32 schedule=arccos(counts=revealed) order=halton"
WARM = "temperature_schedule=constant(warmup=1)"

PUBLISHED = {
    # Maskgit-pytorch README: FID 6.80 at 256 and 7.26 at 512 pixels
    "v1-256": f"steps=8 guidance_scale=4 masking_temperature=4.5..0 {V1}",
    "v1-512": f"steps=15 guidance_scale=3.8 masking_temperature=7..0 {V1}",
    # its notebook: fidelity before diversity; a temperature of 1/1.3
    "v1-demo": f"steps=32 guidance_scale=10 temperature=0.7692307692 masking_temperature=7..0 {V1}",
    # Halton-MaskGIT `eval.py` with the weights of its README, by size
    "halton-tiny": f"guidance_scale=2.5 {HALTON} {WARM}",
    "halton-small": f"guidance_scale=2 {HALTON} {WARM}",
    "halton-base": f"guidance_scale=1.7 {HALTON} {WARM}",
    "halton-large": f"guidance_scale=1.5 {HALTON} {WARM}",
    # its example, with a factor that grows to 1.2, and another order for each image
    "halton-demo": f"guidance_scale=3 {HALTON}(roll=true) "
    "temperature_schedule=linear(0.8333333333)",
    # maskgit `parallel_decode.py`: 12 steps
    "jax": "steps=12 masking_temperature=4.125..0 schedule=cosine",
}

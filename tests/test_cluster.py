"""The shipped cluster file: accepted by Ray, closed to strangers, and free of GPUs when idle."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import ValidationError
from ray.autoscaler._private.util import prepare_config, validate_config

CLUSTER = Path(__file__).parents[1] / "cluster.yaml"


@pytest.fixture
def cluster() -> dict[str, Any]:
    return yaml.safe_load(CLUSTER.read_text())


def test_ray_accepts_the_cluster_file(cluster: dict[str, Any]) -> None:
    validate_config(prepare_config(cluster))


def test_ray_refuses_a_key_that_it_does_not_know(cluster: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="idle_timeout"):
        validate_config(prepare_config(cluster | {"idle_timeout": 10}))


def test_head_has_no_gpu_and_gpu_workers_scale_from_zero(cluster: dict[str, Any]) -> None:
    node_types = prepare_config(cluster)["available_node_types"]
    head = node_types.pop(cluster["head_node_type"])
    assert "GPU" not in head["resources"]
    assert node_types
    for name, node_type in node_types.items():
        assert node_type["resources"]["GPU"] >= 1, name
        assert node_type["min_workers"] == 0 < node_type["max_workers"], name


@pytest.mark.parametrize("role", ["head", "worker"])
def test_nodes_start_with_token_authentication(cluster: dict[str, Any], role: str) -> None:
    starts = [line for line in cluster[f"{role}_start_ray_commands"] if "ray start" in line]
    assert starts
    assert all("RAY_AUTH_MODE=token" in line for line in starts)
    assert any(target.endswith("/.ray/auth_token") for target in cluster["file_mounts"])

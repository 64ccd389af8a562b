"""The shipped cluster files: accepted by Ray, closed to strangers, and free of GPUs when idle."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import ValidationError
from ray.autoscaler._private.util import prepare_config, validate_config

ROOT = Path(__file__).parents[1]
CLUSTER = ROOT / "cluster.yaml"
JOB = ROOT / "docs/rayjob.yaml"


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
    assert len({kind["node_config"]["InstanceType"] for kind in node_types.values()}) == 2
    for name, node_type in node_types.items():
        assert node_type["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"}, name
        assert node_type["resources"]["GPU"] >= 1 == node_type["resources"][name], name
        assert node_type["min_workers"] == 0 < node_type["max_workers"], name


@pytest.mark.parametrize("role", ["head", "worker"])
def test_nodes_start_with_token_authentication(cluster: dict[str, Any], role: str) -> None:
    starts = [line for line in cluster[f"{role}_start_ray_commands"] if "ray start" in line]
    assert starts
    assert all("RAY_AUTH_MODE=token" in line for line in starts)
    assert any(target.endswith("/.ray/auth_token") for target in cluster["file_mounts"])


def test_head_shows_its_dashboard_and_jobs_to_itself_alone(cluster: dict[str, Any]) -> None:
    (start,) = [line for line in cluster["head_start_ray_commands"] if "--head" in line]
    assert re.findall(r"--dashboard-host=(\S+)", start) == ["127.0.0.1"]
    assert "--ray-client-server-port" not in start


@pytest.fixture
def job() -> dict[str, Any]:
    document = yaml.safe_load(JOB.read_text())
    assert (document["apiVersion"], document["kind"]) == ("ray.io/v1", "RayJob")
    return document["spec"]


def test_job_on_kubernetes_asks_for_a_token_and_leaves_nothing_running(job: dict[str, Any]) -> None:
    assert job["rayClusterSpec"]["authOptions"] == {"mode": "token"}
    assert job["rayClusterSpec"]["enableInTreeAutoscaling"]
    assert job["shutdownAfterJobFinishes"]


def test_job_on_kubernetes_has_two_kinds_of_gpu_that_scale_from_zero(job: dict[str, Any]) -> None:
    head, groups = job["rayClusterSpec"]["headGroupSpec"], job["rayClusterSpec"]["workerGroupSpecs"]
    assert head["rayStartParams"] == {"num-cpus": "0"} and not gpus(head)
    assert len({str(group["template"]["spec"]["nodeSelector"]) for group in groups}) == 2
    for group in groups:
        name = group["groupName"]
        assert gpus(group) == "1", name
        assert json.loads(json.loads(group["rayStartParams"]["resources"])) == {name: 1}
        assert group["minReplicas"] == 0 < group["maxReplicas"], name


def gpus(group: dict[str, Any]) -> str | None:
    (container,) = group["template"]["spec"]["containers"]
    return container["resources"]["limits"].get("nvidia.com/gpu")


def test_both_clusters_run_the_same_ray(cluster: dict[str, Any], job: dict[str, Any]) -> None:
    (pinned,) = re.findall(r"ray\[default,data\]==([\d.]+)", "".join(cluster["setup_commands"]))
    assert job["rayClusterSpec"]["rayVersion"] == pinned

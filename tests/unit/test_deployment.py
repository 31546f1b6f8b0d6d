"""docker/**: the Dockerfile passes its linter, manifests fit Kubernetes' schemas, and their numbers the settings."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from ocrqueue.job import Job
from ocrqueue.job.names import LANES
from ocrqueue.monitoring.wanted import PATH
from ocrqueue.routing.policy import make_route
from ocrqueue.settings import WorkerSettings, load_worker_settings
from ocrqueue_gateway.settings import GatewaySettings
from ocrqueue_worker.lifecycle.liveness_check import SILENT_AFTER_S
from tests.support.manifests import DOCKER, KUBERNETES, OVERLAYS, ROOT, Manifest, documents, validated

ENGINES = sorted(path.name for path in (KUBERNETES / "engines").iterdir())
WORKERS = {"tesseract", "rapid", "vision", "keras-cpu", "keras-gpu"}
TARGETS = {"producer", "gateway"} | WORKERS


def raw_manifests() -> list[Manifest]:
    """All but kustomization files, as they lie there."""
    paths = [path for path in KUBERNETES.rglob("*.yaml") if path.name != "kustomization.yaml"]
    return [document for path in paths for document in documents(path)]


def patch_of(engine: str) -> Manifest:
    """The pod's spec that an engine lays over the common one."""
    [patch] = yaml.safe_load((KUBERNETES / "engines" / engine / "kustomization.yaml").read_text())["patches"]
    spec: Manifest = yaml.safe_load(patch["patch"])["spec"]["template"]["spec"]
    return spec


def container_of(engine: str) -> Manifest:
    [container] = patch_of(engine)["containers"]
    assert isinstance(container, dict)
    return container


def option(arguments: list[str], name: str) -> str:
    return arguments[arguments.index(name) + 1]


@pytest.fixture
def cluster_settings(monkeypatch: pytest.MonkeyPatch) -> WorkerSettings:
    """The settings that pods have."""
    [settings] = documents(KUBERNETES / "base" / "settings.yaml")
    for name, value in settings["data"].items():
        monkeypatch.setenv(name, value)
    return load_worker_settings()


def worker_spec() -> Manifest:
    [spec] = [
        document["spec"]["template"]["spec"]
        for document in documents(KUBERNETES / "worker" / "worker.yaml")
        if document["kind"] == "Deployment"
    ]
    assert isinstance(spec, dict)
    return spec


@pytest.fixture(scope="module")
def compose() -> Manifest:
    [document] = documents(DOCKER / "compose.yaml")
    return document


def test_each_target_has_pins_of_its_own_in_the_versions_of_the_checks() -> None:
    targets = set(re.findall(r"^FROM \S+ AS ([\w-]+)$", (DOCKER / "Dockerfile").read_text(), re.MULTILINE))
    assert targets >= TARGETS
    folder = ROOT / "requirements"
    assert {path.stem for path in (folder / "images").iterdir()} == TARGETS | {"build"}
    sets = {"rapid": "rapid", "keras-cpu": "keras", "keras-gpu": "keras"}
    tracing = {name: version for name, version in pins(folder / "dev.txt").items() if name.startswith("opentelemetry-")}
    assert "opentelemetry-sdk" in tracing
    for target in TARGETS | {"build"}:
        pinned = pins(folder / "images" / f"{target}.txt")
        checked = pins(folder / f"{sets.get(target, 'runtime')}.txt")
        both = pinned.keys() & checked.keys()
        assert "packaging" in both or "celery" in both
        assert {name: pinned[name] for name in both} == {name: checked[name] for name in both}, target
        assert not pinned.keys() & {"pytest", "ocrqueue", "opencv-python"}
        if target != "build":
            assert tracing.items() <= pinned.items(), target


def test_what_is_said_of_the_images_sizes_is_what_their_check_asks_for() -> None:
    [limits] = re.findall(r"^LIMITS_MB = (\{.*\})$", (DOCKER / "check").read_text(), re.MULTILINE)
    said = re.findall(
        r"^\| `([\w-]+)` \| .* \| less than (\d+) MB \|$", (ROOT / "docs/deployment.md").read_text(), re.MULTILINE
    )
    assert {target: int(most) for target, most in said} == ast.literal_eval(limits)


def test_only_workers_images_have_workers() -> None:
    stages = re.split(r"^FROM \S+ AS ", (DOCKER / "Dockerfile").read_text(), flags=re.MULTILINE)[1:]
    copied = {stage.split()[0]: set(re.findall(r"^COPY --from=(\S+)", stage, re.MULTILINE)) for stage in stages}
    for target in TARGETS:
        package = "worker-package" if target in WORKERS else f"{target}-package"
        assert copied[target] == {f"{target}-packages", package}


def pins(path: Path) -> dict[str, str]:
    lines = [line.partition("==") for line in path.read_text().splitlines() if "==" in line]
    return {name: version for name, _, version in lines}


def test_compose_names_files_targets_and_secrets_that_are_there(compose: Manifest) -> None:
    services = compose["services"]
    assert {name for name, service in services.items() if service.get("profiles") == ["cpu"]} == {"tesseract"}
    for name, service in services.items():
        if build := service.get("build"):
            assert build["target"] in TARGETS
            assert service["image"] == f"ocrqueue/{build['target']}"
        assert set(service.get("secrets", ())) <= set(compose["secrets"])
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
    assert (DOCKER / ".env").read_text().splitlines()[-1] == "COMPOSE_PROFILES=cpu"


def test_prometheus_asks_every_worker_of_compose_where_it_answers(compose: Manifest) -> None:
    [scrapes] = documents(DOCKER / "prometheus" / "prometheus.yml")
    queues, workers, gateways = scrapes["scrape_configs"]
    assert queues["static_configs"] == [{"targets": ["metrics:9470"]}]
    [found] = workers["dns_sd_configs"]
    ports = {
        name: service["environment"]["OCRQUEUE_METRICS_PORT"]
        for name, service in compose["services"].items()
        if "OCRQUEUE_METRICS_PORT" in service.get("environment", {})
    }
    assert ports == dict.fromkeys(found["names"], found["port"])
    assert ports.keys() == WORKERS
    [found] = gateways["dns_sd_configs"]
    assert found["names"] == ["gateway"]
    assert str(found["port"]) == compose["services"]["gateway"]["ports"][0].rpartition(":")[2] == image_port()
    # docker/check waits for all of them, and for no other
    awaited = re.findall(r"Counter\(.*?\) == (\{.*?\})", (DOCKER / "check").read_text(), re.DOTALL)
    named = {each["job_name"] for each in scrapes["scrape_configs"]}
    assert [set(yaml.safe_load(each)) for each in awaited if "ocrqueue" in each] == [named]


def image_port() -> str:
    """Where the gateway of an image listens."""
    [port] = re.findall(r"OCRQUEUE_GATEWAY_PORT=(\d+)", (DOCKER / "Dockerfile").read_text())
    return str(port)


def test_who_has_no_key_reaches_a_gateway_of_compose_from_this_machine_alone(compose: Manifest) -> None:
    service = compose["services"]["gateway"]
    assert "profiles" not in service
    assert service["ports"][0].startswith("${BIND_ADDRESS:-127.0.0.1}:")


def test_grpc_is_published_where_the_gateway_listens_for_it(compose: Manifest) -> None:
    [more] = documents(DOCKER / "compose.grpc.yaml")
    [(name, service)] = more["services"].items()
    port = service["environment"]["OCRQUEUE_GATEWAY_GRPC_PORT"]
    assert compose["services"][name]["image"] == "ocrqueue/gateway"
    assert service["ports"] == [f"${{BIND_ADDRESS:-127.0.0.1}}:${{GATEWAY_GRPC_PORT:-{port}}}:{port}"]
    assert GatewaySettings(grpc_port=port).grpc_port != int(image_port())


def test_a_pod_of_the_gateway_is_asked_where_it_listens_and_ends_after_its_requests() -> None:
    found = {each["kind"]: each for each in documents(KUBERNETES / "gateway" / "gateway.yaml")}
    deployment, budget = found["Deployment"]["spec"], found["PodDisruptionBudget"]["spec"]
    pod = deployment["template"]
    [container] = pod["spec"]["containers"]
    [port] = container["ports"]
    assert str(port["containerPort"]) == pod["metadata"]["annotations"]["prometheus.io/port"] == image_port()
    [policy] = documents(KUBERNETES / "gateway" / "network.yaml")
    assert policy["spec"]["ingress"][0]["ports"] == [{"protocol": "TCP", "port": port["containerPort"]}]
    assert found["Service"]["spec"]["ports"][0]["targetPort"] == port["name"]
    probes = {name: container[f"{name}Probe"]["httpGet"] for name in ("startup", "readiness", "liveness")}
    assert {probe["port"] for probe in probes.values()} == {port["name"]}
    assert [probes[name]["path"] for name in probes] == ["/healthz", "/readyz", "/healthz"]
    assert container["lifecycle"]["preStop"]["sleep"]["seconds"] + 30 <= pod["spec"]["terminationGracePeriodSeconds"]
    assert deployment["replicas"] > budget["minAvailable"] >= 1
    assert deployment["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    labels = pod["metadata"]["labels"]
    assert deployment["selector"]["matchLabels"] == budget["selector"]["matchLabels"] == labels
    assert found["Service"]["spec"]["selector"] == policy["spec"]["podSelector"]["matchLabels"] == labels


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_each_overlay_serves_http(overlay: str) -> None:
    [kustomization] = documents(KUBERNETES / "overlays" / overlay / "kustomization.yaml")
    assert "../../gateway" in kustomization["resources"]


def test_the_images_check_of_health_is_a_module_of_the_worker() -> None:
    [module] = re.findall(r"site-packages/(\S+\.py)", (DOCKER / "ocrqueue-health").read_text())
    assert (ROOT / "worker" / module).is_file()


def test_the_images_check_of_the_gateway_asks_whether_it_is_ready() -> None:
    """Where it looks is what the image and the gateway have."""
    check = (DOCKER / "ocrqueue-gateway-ready").read_text()
    assert "/readyz" in check
    assert f'"OCRQUEUE_GATEWAY_PORT", "{image_port()}"' in check
    for name in re.findall(r"^COPY docker/(\S+)", (DOCKER / "Dockerfile").read_text(), re.MULTILINE):
        assert f"!docker/{name}" in (ROOT / ".dockerignore").read_text().splitlines()
        assert (DOCKER / name).stat().st_mode & 0o111


def test_compose_gives_a_worker_time_to_end(compose: Manifest) -> None:
    for target in WORKERS:
        service = compose["services"][target]
        grace = int(service["environment"]["OCRQUEUE_SHUTDOWN_GRACE_S"])
        assert int(service["stop_grace_period"].removesuffix("s")) >= grace + 10


def test_manifests_fit_the_schemas_of_kubernetes() -> None:
    kinds = [validated(manifest) for manifest in raw_manifests()]
    assert {"Deployment", "NetworkPolicy", "PodDisruptionBudget", "ServiceAccount", "ScaledObject"} <= set(kinds)


def test_a_pod_ends_after_its_jobs(cluster_settings: WorkerSettings) -> None:
    grace, limit = cluster_settings.shutdown_grace_s, cluster_settings.hard_time_limit_s.default
    assert grace >= limit
    assert worker_spec()["terminationGracePeriodSeconds"] >= grace + 10


def test_probes_wait_for_an_engine_and_see_a_stopped_one_within_a_minute(cluster_settings: WorkerSettings) -> None:
    [container] = worker_spec()["containers"]
    startup, liveness = container["startupProbe"], container["livenessProbe"]
    assert startup["failureThreshold"] * startup["periodSeconds"] >= cluster_settings.engine_load_timeout_s
    assert SILENT_AFTER_S + liveness["failureThreshold"] * liveness["periodSeconds"] < 60
    stated = re.search(
        r"HEALTHCHECK --interval=(\d+)s .*--retries=(\d+) CMD \W+ocrqueue-health", (DOCKER / "Dockerfile").read_text()
    )
    assert stated
    assert SILENT_AFTER_S + int(stated[1]) * int(stated[2]) < 60


@pytest.mark.parametrize("engine", [engine for engine in ENGINES if engine != "vision"])
def test_a_pods_memory_holds_what_its_children_may_take(engine: str, cluster_settings: WorkerSettings) -> None:
    container = container_of(engine)
    name = option(container["args"], "--engine")
    child = cluster_settings.max_memory_per_child_mib.of(name) + cluster_settings.job_memory_limit_mib.of(name)
    limit = container["resources"]["limits"]["memory"]
    assert int(limit.removesuffix("Mi")) >= child * int(option(container["args"], "--concurrency")) + 256


@pytest.mark.parametrize("engine", ENGINES)
def test_autoscaling_looks_at_every_lane_and_waits_for_jobs_that_run(
    engine: str, cluster_settings: WorkerSettings
) -> None:
    [scaled] = documents(KUBERNETES / "engines" / engine / "scaling.yaml")
    triggers = scaled["spec"]["triggers"]
    name = option(container_of(engine)["args"], "--engine")
    assert [trigger["metadata"]["valueLocation"] for trigger in triggers] == [f"{name}.{lane}" for lane in LANES]
    assert {trigger["type"] for trigger in triggers} == {"metrics-api"}
    [service] = [found for found in documents(KUBERNETES / "base" / "metrics.yaml") if found["kind"] == "Service"]
    host = f"{service['metadata']['name']}.{namespace()}.svc:{service['spec']['ports'][0]['port']}"
    assert {trigger["metadata"]["url"] for trigger in triggers} == {f"http://{host}{PATH}"}
    assert all(int(trigger["metadata"]["targetValue"]) >= 1 for trigger in triggers)
    assert scaled["spec"]["scaleTargetRef"]["name"] == f"{engine}-worker"
    assert scaled["spec"]["cooldownPeriod"] > cluster_settings.hard_time_limit_s.default


def namespace() -> str:
    """Every overlay's."""
    found = {
        documents(KUBERNETES / "overlays" / overlay / "kustomization.yaml")[0]["namespace"] for overlay in OVERLAYS
    }
    assert len(found) == 1
    return str(found.pop())


def test_the_autoscaler_may_ask_for_what_waits() -> None:
    [policy] = [
        found
        for found in documents(KUBERNETES / "base" / "network.yaml")
        if found["spec"]["podSelector"]["matchLabels"].get("app.kubernetes.io/name") == "metrics"
    ]
    [rule] = policy["spec"]["ingress"]
    assert rule["from"] == [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "keda"}}}]
    [port] = rule["ports"]
    [service] = [found for found in documents(KUBERNETES / "base" / "metrics.yaml") if found["kind"] == "Service"]
    assert port["port"] == service["spec"]["ports"][0]["port"]


def test_somebody_takes_in_what_came_by_name_while_no_worker_is_up() -> None:
    """So that a message to a queue of an engine without pods, or to auto, becomes a job that wakes one."""
    [reconciler] = [
        found for found in documents(KUBERNETES / "base" / "reconciler.yaml") if found["kind"] == "Deployment"
    ]
    [container] = reconciler["spec"]["template"]["spec"]["containers"]
    assert container["args"] == ["reconcile", "--loop"]
    assert {"configMapRef": {"name": "ocrqueue"}} in container["envFrom"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_job_for_auto_goes_to_an_engine_of_the_overlay_while_none_has_a_pod(
    overlay: str, cluster_settings: WorkerSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    [kustomization] = documents(KUBERNETES / "overlays" / overlay / "kustomization.yaml")
    for patch in kustomization["patches"]:
        assert patch["target"]["kind"] == "ConfigMap"
        for operation in yaml.safe_load(patch["patch"]):
            monkeypatch.setenv(operation["path"].removeprefix("/data/"), operation["value"])
    settings = load_worker_settings()
    always, engines = set(), set()
    for folder in (Path(resource).name for resource in kustomization["resources"] if "engines" in resource):
        [scaled] = documents(KUBERNETES / "engines" / folder / "scaling.yaml")
        engine = option(container_of(folder)["args"], "--engine")
        engines.add(engine)
        if scaled["spec"]["minReplicaCount"]:
            always.add(engine)
    assert set(settings.auto_engines) == engines
    # where one is always there, the others would be left out for having no worker
    assert set(settings.engines_on_demand) == (engines - always if always else set())
    routed = make_route(Job(image="s3://bucket/page.png", engine="auto"), settings, {})
    assert routed.engine in engines


def test_only_a_gpu_engine_goes_down_to_a_gpu_and_to_none() -> None:
    spec = patch_of("keras-gpu")
    assert spec["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert spec["nodeSelector"] == {"nvidia.com/gpu.present": "true"}
    [scaled] = documents(KUBERNETES / "engines" / "keras-gpu" / "scaling.yaml")
    assert scaled["spec"]["minReplicaCount"] == 0


def test_no_pod_runs_as_root_or_writes_to_its_root() -> None:
    specs = list(pod_specs())
    assert len(specs) == 5
    for spec in specs:
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["automountServiceAccountToken"] is False
        for container in spec["containers"]:
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            assert {mount["mountPath"] for mount in container["volumeMounts"]} == {"/run/secrets", "/tmp"}


def pod_specs() -> Iterator[Manifest]:
    for manifest in raw_manifests():
        if manifest["kind"] == "Deployment":
            yield manifest["spec"]["template"]["spec"]

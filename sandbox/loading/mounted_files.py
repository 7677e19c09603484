"""The files that a proxy finds in its pod: Secrets and ConfigMaps that the pod mounts, by path.

A gateway's pod mounts them into the container istio-proxy itself; for a sidecar the annotations
``sidecar.istio.io/userVolume`` and ``userVolumeMount`` say what the injector adds
(https://istio.io/latest/docs/reference/config/annotations/).
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeVar

from sandbox.istio.decode import decode_message
from sandbox.istio.kubernetes_volumes import KeyToPath, NamedProjection, Volume, VolumeMount
from sandbox.istio.read_object import ObjectReader
from sandbox.yaml_source.documents import parse_documents
from sandbox.yaml_source.nodes import FixedSource, YamlMapping
from sandbox.yaml_source.problems import Problems

if TYPE_CHECKING:
    from sandbox.compiler.find_proxy import Workload
    from sandbox.istio.load import Configuration

OUTPUT_CERTIFICATES: Final = "OUTPUT_CERTS"
"""The agent's variable for a directory (Istio pilot/cmd/pilot-agent), set by ``proxyMetadata``."""
AGENT_FILES: Final = ("cert-chain.pem", "key.pem", "root-cert.pem")
"""What it writes there: the workload's certificate, its key, and the mesh's authorities."""
PROXY_CONTAINER: Final = "istio-proxy"
USER_VOLUME: Final = "sidecar.istio.io/userVolume"
USER_VOLUME_MOUNT: Final = "sidecar.istio.io/userVolumeMount"
NamedT = TypeVar("NamedT", Volume, VolumeMount)


def mounted_files(
    configuration: Configuration, secrets: Mapping[str, Mapping[str, bytes]], workload: str
) -> Mapping[str, bytes]:
    """By absolute path; ``secrets`` are the data of Secrets and ConfigMaps, by ``namespace/name``."""
    from sandbox.compiler.find_proxy import find_workloads  # the compiler is half of the program

    files: dict[str, bytes] = {}
    for found in find_workloads(configuration, workload):
        content = {volume.name: dict(_content(volume, secrets, found.namespace)) for volume in _volumes(found)}
        for mount in _mounts(found):
            for path, data in content.get(mount.name, {}).items():
                if not mount.sub_path:
                    files[posixpath.join(mount.mount_path, path)] = data
                elif path == mount.sub_path:
                    files[mount.mount_path] = data
    return files


def _volumes(workload: Workload) -> Iterator[Volume]:
    yield from workload.spec.volumes
    yield from _annotated(workload, USER_VOLUME, Volume)


def _mounts(workload: Workload) -> Iterator[VolumeMount]:
    for container in (*workload.spec.init_containers, *workload.spec.containers):
        if container.name == PROXY_CONTAINER:
            yield from container.volume_mounts
    yield from _annotated(workload, USER_VOLUME_MOUNT, VolumeMount)


def report_unreadable_annotations(configuration: Configuration, workload: str, problems: Problems) -> None:
    """Reports annotations of a workload's pods at which the injector fails."""
    from sandbox.compiler.find_proxy import find_workloads  # the compiler is half of the program

    for found in find_workloads(configuration, workload):
        for annotation in (USER_VOLUME, USER_VOLUME_MOUNT):
            text = found.metadata.annotations.get(annotation, "")
            read = _read_annotation(text)
            if isinstance(read, str):
                problems.report(
                    "SBX0557",
                    f"annotation {annotation} {read}: the injector fails at it, and here it mounts nothing",
                    found.metadata.origin_of("annotations", annotation),
                    hint=f"write {_EXAMPLES[annotation]}",
                )


_EXAMPLES: Final = {
    USER_VOLUME: '{"certs": {"secret": {"secretName": "NAME"}}}',
    USER_VOLUME_MOUNT: '{"certs": {"mountPath": "/etc/certs", "readOnly": true}}',
}


def _annotated(workload: Workload, annotation: str, message: type[NamedT]) -> Iterator[NamedT]:
    """What an annotation names."""
    read = _read_annotation(workload.metadata.annotations.get(annotation, ""))
    if isinstance(read, str):
        return
    origin = workload.metadata.origin_of("annotations", annotation)
    source = FixedSource(origin.span)
    for name, value in read.items():
        for node in parse_documents(source, json.dumps(value), Problems()):
            if isinstance(node, YamlMapping):
                reader = ObjectReader(origin.resource, source, open_fields=True, has_schema=False)
                decoded = decode_message(message, node, reader, origin.path)
                yield decoded if decoded.name else replace(decoded, name=name)


def _read_annotation(text: str) -> Mapping[str, object] | str:
    """JSON objects by name, as the injector's template takes them; or what is wrong.

    Of a list the numbers are the names. A ``name`` inside wins (Istio manifests/charts/istio-control/istio-discovery,
    ``range $index, $value := fromJSON``).
    """
    try:
        value = json.loads(text) if text else {}
    except json.JSONDecodeError as error:
        return f"is not JSON ({error.msg[:1].lower()}{error.msg[1:]} at character {error.pos + 1})"
    if value is None:
        return {}
    named = {str(number): each for number, each in enumerate(value)} if isinstance(value, list) else value
    if not isinstance(named, dict):
        return "is neither an object of JSON nor a list"
    wrong = next((name for name, each in named.items() if not isinstance(each, dict)), None)
    return named if wrong is None else f"has something else than an object under {wrong!r}"


def _content(volume: Volume, secrets: Mapping[str, Mapping[str, bytes]], namespace: str) -> Iterator[tuple[str, bytes]]:
    """The files of a volume, by path below the place where it is mounted."""
    if volume.secret is not None:
        yield from _files(secrets.get(f"{namespace}/{volume.secret.secret_name}", {}), volume.secret.items)
    projections = [volume.config_map]
    if volume.projected is not None:
        projections += [each for one in volume.projected.sources for each in (one.secret, one.config_map)]
    for projection in filter(None, projections):
        yield from _projected(projection, secrets, namespace)


def _projected(
    projection: NamedProjection, secrets: Mapping[str, Mapping[str, bytes]], namespace: str
) -> Iterator[tuple[str, bytes]]:
    yield from _files(secrets.get(f"{namespace}/{projection.name}", {}), projection.items)


def _files(data: Mapping[str, bytes], items: tuple[KeyToPath, ...]) -> Iterator[tuple[str, bytes]]:
    if not items:
        yield from data.items()
    for item in items:
        if item.key in data:
            yield item.path, data[item.key]

"""The chart's values, typed: `values.yaml`, its schema and its documentation are written from here.

`settings` is the platform's own settings, so the chart cannot accept what the programs refuse.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from helm.parts import (
    AbsolutePath,
    Cidr,
    Host,
    Name,
    Objects,
    Port,
    Program,
    Quantity,
    Replicas,
    Resources,
    Strings,
    Values,
    Volume,
    Workload,
    asks,
    part,
    said,
    volume,
)
from helm.settings_part import SettingsPart


class Login(Values):
    """A login to a registry."""

    username: str = said("The user.", "")
    password: str = said("The password, or a token.", "")


class Images(Values):
    """Where the platform's images come from."""

    prefix: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._/:-]*[a-z0-9]$")] = said(
        "What stands before the images' names, `PREFIX/hub:TAG`: where `make images` has put them.",
        "registry.example/atoll",
    )
    tag: str = said("Their tag; empty: the chart's `appVersion`.", "")
    pull_policy: Literal["Always", "IfNotPresent", "Never"] = said(
        "When nodes pull them.", "IfNotPresent"
    )
    pull_secrets: list[Name] = said(
        "Secrets of your own, in the release's and the agents' namespaces, with which nodes pull.",
        [],
    )
    logins: dict[Host, Login] = said(
        "Logins of registries by their host: a Secret is made of them where images are pulled,"
        " those of profiles too.",
        {},
    )


class Namespaces(Values):
    """The namespaces beside the release's own; they stay when the release is uninstalled."""

    create: bool = said("Make them. Else they must exist, with the labels that docs name.", True)
    servers: Name = said("Users' servers; empty: `NAME-servers`.", "")
    jobs: Name = said("Jobs; empty: `NAME-jobs`.", "")
    agents: Name = said("The nodes' agents, which are privileged; empty: `NAME-agents`.", "")


class Hub(Program):
    """JupyterHub."""

    resources: Resources = asks("100m", "256Mi", "1Gi")
    storage: Volume = volume("1Gi")
    count_gpus: bool = said(
        "Where a profile has GPUs, the hub may list the nodes and pods of the whole cluster, so that its page "
        "says how many are free, and who waits.",
        True,
    )
    extra_rules: Objects = said(
        "More RBAC rules of the hub in the servers' namespace, for KubeSpawner options that need"
        " them (`services`, `secrets`, …).",
        [],
    )


class ProxyService(Values):
    """The public Service."""

    type: Literal["ClusterIP", "NodePort", "LoadBalancer"] = said(
        "How it is reached from outside; `ClusterIP` with an ingress.", "ClusterIP"
    )
    port: Port = said("Its port.", 80)
    node_port: Port = said("The port on the nodes, where the type is `NodePort`; 0: any.", 0)
    annotations: Strings = said("Annotations, such as a cloud's load balancer wants.", {})
    load_balancer_source_ranges: list[Cidr] = said("Who may reach the load balancer.", [])


class Proxy(Program):
    """The proxy that everything public goes through."""

    resources: Resources = asks("50m", "96Mi", "512Mi")
    service: ProxyService = part("Its public Service.", ProxyService)
    tls_secret: Name = said(
        "A `kubernetes.io/tls` Secret; with it the proxy itself speaks HTTPS.", ""
    )
    api_url: Annotated[str, Field(pattern=r"^(https?://.+)?$")] = said(
        "The API of a proxy of your own, where `enabled` is false.", ""
    )


class Service(Program):
    """The platform's own service."""

    resources: Resources = asks("100m", "256Mi", "2Gi")
    replicas: Replicas = said(
        "How many; more than one needs PostgreSQL and a volume that several nodes mount.", 1
    )
    storage: Volume = volume("10Gi")
    cluster_ip: str = said("The address of its Service; empty: Kubernetes chooses.", "")


class Agents(Program):
    """The agent on each node, which reads containers' layers: privileged, and alone in its namespace."""

    resources: Resources = asks("50m", "96Mi", "1Gi")
    tolerations: Objects = said(
        "Taints that it tolerates: it must run wherever servers do.", [{"operator": "Exists"}]
    )
    containerd_socket: AbsolutePath = said(
        "containerd's socket on the nodes.", "/run/containerd/containerd.sock"
    )
    containerd_state: AbsolutePath = said(
        "containerd's state directory on the nodes.", "/run/containerd"
    )
    containerd_root: AbsolutePath = said(
        "containerd's data directory on the nodes.", "/var/lib/containerd"
    )
    state: AbsolutePath = said("The agent's own directory on the nodes.", "/run/atoll-agent")


class RegistryNodes(Values):
    """How nodes come to know the registry: they do not resolve the names of Services."""

    set_up: bool = said(
        "The agents tell their node: a line in its hosts file, and a directory for containerd with"
        " the registry's certificate. Needed where `pullAddress` is empty.",
        True,
    )
    certs_dir: AbsolutePath = said(
        "The directory that containerd's `config_path` names.", "/etc/containerd/certs.d"
    )
    hosts_file: AbsolutePath = said("The nodes' hosts file.", "/etc/hosts")


class Ingress(Values):
    """An Ingress."""

    enabled: bool = said("Whether there is one.", False)
    class_name: str = said("Its ingress class; empty: the cluster's default one.", "")
    host: Host = said("The host's name.", "")
    tls_secret: Name = said("The Secret with its certificate; empty: no TLS.", "")
    annotations: Strings = said("Its annotations.", {})


class Registry(Workload):
    """The registry that environments are saved to."""

    image: str = said(
        "Its image: CNCF distribution 2.8 or 3, run as `registry serve FILE`.",
        "docker.io/library/registry:3",
    )
    resources: Resources = asks("50m", "64Mi", "1Gi")
    storage: Volume = volume("100Gi")
    user: Annotated[int, Field(ge=1)] = said("The user id that it runs as.", 1000)
    config: dict[str, Any] = said(
        "More of its configuration, over ours: `storage` for a bucket instead of the volume.", {}
    )
    cluster_ip: str = said("The address of its Service; empty: Kubernetes chooses.", "")
    address: Host = said("A registry of your own, where `enabled` is false.", "")
    plain_http: bool = said("Your own registry speaks HTTP without TLS.", False)
    issued_tokens: bool = said("Your own registry takes the tokens that the platform issues.", True)
    ca: str = said("The certificate (PEM) that your own registry's is signed by.", "")
    pull_address: Host = said(
        "The registry's name for nodes; empty: its Service's name, which the agents tell their node.",
        "",
    )
    pull_secret: Name = said(
        "A Secret of your own, in the servers' and jobs' namespaces, with which nodes pull.", ""
    )
    realm: Annotated[str, Field(pattern=r"^(https?://.+)?$")] = said(
        "Where nodes get tokens to pull with, as they reach it; empty: the service, by its name in the"
        " cluster where `nodes.setUp` tells them, else by `publicUrl`.",
        "",
    )
    nodes: RegistryNodes = part("How nodes come to know it.", RegistryNodes)
    ingress: Ingress = part("An Ingress for it, where `pullAddress` is a public name.", Ingress)


class Postgres(Workload):
    """A PostgreSQL for small installations: one pod, one volume, no replication, no backup."""

    image: str = said(
        "Its image, with the official image's variables.", "docker.io/library/postgres:17"
    )
    resources: Resources = asks("100m", "256Mi", "1Gi")
    storage: Volume = volume("10Gi")
    user: Annotated[int, Field(ge=1)] = said("The user id that it runs as.", 999)


class SecretKey(Values):
    """A key of a Secret in the release's namespace."""

    name: Name = said("The Secret's name; empty: none.", "")
    key: str = said("Its key.", "url")


class Database(Values):
    """The service's database: PostgreSQL of the chart, of your own, or else SQLite on the volume."""

    url: str = said(
        "An SQLAlchemy URL of your own database, `postgresql+psycopg://USER:PASSWORD@HOST/NAME`;"
        " needs `postgres.enabled: false`.",
        "",
    )
    existing_secret: SecretKey = part("A Secret that holds the URL.", SecretKey)


class PrePuller(Workload):
    """Pulls the profiles' images to every node before somebody waits for them."""

    images: list[str] = said("More images to pull; each must have `/bin/sh` and `sleep`.", [])
    resources: Resources = asks("1m", "4Mi", "32Mi")


class Culler(Values):
    """Stops idle servers, which saves them."""

    enabled: bool = said("Whether idle servers are stopped.", True)
    after_s: Annotated[int, Field(ge=60)] = said("Seconds without activity.", 3600)


class Protection(Values):
    """What keeps unsaved servers from being deleted."""

    enabled: bool = said(
        "The admission policy, the answer to evictions, and the servers' disruption budget.", True
    )
    eviction_timeout_s: Annotated[int, Field(ge=1, le=30)] = said(
        "Seconds that Kubernetes waits for the service's answer about an eviction.", 5
    )


class Reach(Values):
    """What pods may reach beside the platform."""

    internet: bool = said(
        "Everything outside of private networks. Never a cloud's metadata service.", True
    )
    egress: Objects = said("More egress rules: your data, your package index.", [])


class NetworkPolicies(Values):
    """Who may talk to whom; needs a network that enforces it."""

    enabled: bool = said("Whether there are policies.", True)
    servers: Reach = part("What servers may reach.", Reach)
    jobs: Reach = part("What jobs may reach.", Reach)
    hub: Reach = part("What the hub may reach, such as a login system.", Reach)
    service: Reach = part("What the service may reach: data sources, a registry of yours.", Reach)
    agents: Reach = part("What agents may reach: a registry of yours.", Reach)
    registry: Reach = Field(
        default_factory=lambda: Reach(internet=False),
        description="What the registry may reach, such as a bucket.",
    )
    metrics: Objects = said("Who may read the service's metrics (`from` of a rule).", [])
    clients: Objects = said("Who may reach the proxy (`from` of a rule); empty: everybody.", [])
    nodes: list[Cidr] = said(
        "The nodes' and the API server's addresses, which reach the registry and the service.",
        ["0.0.0.0/0"],
    )
    dns: Objects = said(
        "Where names are resolved (`to` of a rule); empty: everywhere, at port 53.", []
    )
    databases: Objects = said("Egress rules to your own database, for hub and service.", [])


class Nfs(Values):
    """An NFS export as a volume that all servers and jobs mount."""

    server: Host = said("The server's name or address; empty: none.", "")
    path: Annotated[str, Field(pattern=r"^(/.*)?$")] = said("The exported path.", "")
    size: Quantity = said("What the volume says of its size; NFS does not enforce it.", "1Ti")
    mount_options: list[str] = said("Mount options.", ["nfsvers=4.1", "noatime", "hard"])
    read_only: bool = said("Whether it is mounted read-only.", False)


class Storage(Values):
    """Volumes that the chart makes for homes and shared directories; others are made as needed."""

    nfs: dict[Name, Nfs] = said(
        "NFS exports by name. Each becomes a claim `NAME` in the servers' namespace, and in the"
        " jobs', for `settings.hub.storage`.",
        {},
    )


class Secrets(Values):
    """Where the platform's secrets are."""

    existing: Name = said(
        "A Secret of your own with every key that docs/operators/chart.md lists. Needed where the"
        " chart is rendered without the cluster (`helm template`, Argo CD): each rendering would"
        " make new secrets.",
        "",
    )
    existing_tls: Name = said("Likewise the certificates inside the cluster.", "")
    existing_ca: str = said("The certificate (PEM) that `existingTls` is signed by.", "")


class PodSecurity(Values):
    """What the platform's own pods run as."""

    user: Annotated[int, Field(ge=1)] = said("The user and group id of the platform's pods.", 1000)
    se_linux_options: Strings = said("SELinux options (`level`, `type`, …) of all pods.", {})


class ServiceMonitor(Values):
    """For the Prometheus operator."""

    enabled: bool = said("Whether there is a ServiceMonitor for the service.", False)
    interval: Annotated[str, Field(pattern=r"^[0-9]+(ms|s|m)$")] = said("How often.", "30s")
    labels: Strings = said("Its labels, by which your Prometheus finds it.", {})


class ChartValues(Values):
    """All values of the chart."""

    name_override: Name = said("Instead of the chart's name in the objects' names.", "")
    fullname_override: Name = said("Instead of release and chart in the objects' names.", "")
    public_url: Annotated[str, Field(pattern=r"^(https?://[^/]+/)?$")] = said(
        "What people open, with `/` at the end; empty: by `ingress`, else the proxy's Service.", ""
    )
    images: Images = part("The platform's images.", Images)
    settings: SettingsPart = Field(
        default_factory=lambda: SettingsPart.model_validate({"hub": {"admins": ["admin"]}}),
        description="The platform's settings (docs/operators/settings.md), as in `atoll.toml`.",
    )
    namespaces: Namespaces = part("The namespaces of servers, jobs and agents.", Namespaces)
    hub: Hub = part("JupyterHub.", Hub)
    proxy: Proxy = part("The proxy that everything public goes through.", Proxy)
    service: Service = part("The platform's own service.", Service)
    agents: Agents = part("The agent on each node.", Agents)
    registry: Registry = part("The registry that environments are saved to.", Registry)
    postgres: Postgres = part("A PostgreSQL for small installations.", Postgres)
    database: Database = part("The service's database.", Database)
    pre_puller: PrePuller = part("Pulls images to the nodes in advance.", PrePuller)
    culler: Culler = part("Stops idle servers.", Culler)
    storage: Storage = part("Volumes for homes and shared directories.", Storage)
    ingress: Ingress = part("The Ingress to the proxy.", Ingress)
    protection: Protection = part("What keeps unsaved servers.", Protection)
    network_policies: NetworkPolicies = part("Who may talk to whom.", NetworkPolicies)
    secrets: Secrets = part("Where secrets are.", Secrets)
    pod_security: PodSecurity = part("What the platform's pods run as.", PodSecurity)
    service_monitor: ServiceMonitor = part("For the Prometheus operator.", ServiceMonitor)
    cluster_domain: str = said("The cluster's DNS domain.", "cluster.local")
    global_: dict[str, Any] = Field(
        default_factory=dict, alias="global", description="Helm's own, for charts above this one."
    )

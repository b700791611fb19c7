"""Which runner carries jobs out, by the settings."""

from __future__ import annotations

from atoll.jobs.ground import Environments, Shares, nothing_shared
from atoll.jobs.manifests import Place, platform_of
from atoll.jobs.runners import Runner
from atoll.jobs.runners.local import LocalRunner
from atoll.jobs.settings import JobSettings
from atoll.kit.db import Database
from atoll.kit.home import Home
from atoll.kit.kube.settings import KubernetesSection
from atoll.kit.settings import SettingsError


def runner_of(
    settings: JobSettings,
    cluster: KubernetesSection,
    *,
    database: Database,
    home: Home,
    environments: Environments,
    shares: Shares = nothing_shared,
) -> Runner:
    """The runner that `jobs.runner` names; raises SettingsError where it lacks what it needs."""
    if settings.runner == "local":
        return LocalRunner(home, environments.materialise, settings)
    if not cluster.service_url:
        raise SettingsError(
            "jobs.runner = 'kubernetes' needs kubernetes.service_url: how pods reach the service."
        )
    # a service that runs no pods has no need of these
    from atoll.jobs.runners.kubernetes import KubernetesRunner
    from atoll.kit.kube.access import Access
    from atoll.kit.kube.api import KubeApi
    from atoll.kit.kube.informer import Informer
    from atoll.kit.kube.objects import Pod

    access = Access.find(cluster.kubeconfig)
    place = Place(
        namespace=cluster.jobs_namespace,
        platform=platform_of(home.secret("job-tokens")),
        service_url=cluster.service_url,
        pull_secret=cluster.pull_secret,
        settings=settings,
    )
    pods = f"/api/v1/namespaces/{place.namespace}/pods"
    return KubernetesRunner(
        database,
        home,
        place,
        api=KubeApi(access),
        informer=Informer(access, pods, Pod, labels=place.labels),
        images=environments.reference,
        shares=shares,
    )

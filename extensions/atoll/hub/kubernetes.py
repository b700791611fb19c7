"""The spawner of a cluster: a server is a pod, started from its environment's image by digest.

The service says which environment; the profile says how large and where; KubeSpawner's own options
hold for everything else. See `pods` for how a pod is started, waited for and ended.
"""

from __future__ import annotations

import asyncio
import copy
import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

import msgspec
from jupyterhub.utils import maybe_future
from kubernetes_asyncio.client.models import V1Pod
from pydantic import ValidationError
from traitlets import Instance, Integer, Unicode

from atoll.checkpoints import client
from atoll.checkpoints.models import Place, StartRequest
from atoll.hub import homes, pod_manifest, pod_refusals, storage
from atoll.hub.images import Kept
from atoll.hub.pod_refusals import Attempt
from atoll.hub.pod_states import NOTEBOOK, Step, Trouble
from atoll.hub.pods import PodSpawner
from atoll.hub.profiles import Profile
from atoll.hub.refusal import ChoiceRefused, EnvironmentUnusable, StartRefused
from atoll.hub.resources import number_of_bytes
from atoll.hub.saving import SavingMixin
from atoll.hub.scarcity import Scarcity
from atoll.hub.storage import StorageSection
from atoll.kit.errors import AtollError
from atoll.kit.kube.objects import Pod
from atoll.kit.kube.volumes import mounted

# What says that the image itself is gone or broken, where another environment may start. A registry
# that refuses us is none of these: the environment is there, and somebody must set things right.
_BROKEN: Final = re.compile(
    r"not found|manifest unknown|NAME_UNKNOWN|BLOB_UNKNOWN|no match for platform|media type"
    r"|failed to unpack|failed to extract|wrong diff|unexpected (commit )?(digest|size)|corrupt",
    re.IGNORECASE,
)
_GIVEN_UP_S: Final = 5.0
_RUNTIME: Final = "/tmp/atoll"  # noqa: S108  # in the server's own container
_ARCHITECTURE: Final = "kubernetes.io/arch"
_CHANGED: Final = (
    "image",
    "cpu_limit",
    "cpu_guarantee",
    "mem_limit",
    "mem_guarantee",
    "extra_resource_limits",
    "extra_resource_guarantees",
    "extra_pod_config",
    "node_selector",
    "tolerations",
    "volumes",
    "volume_mounts",
    "pod_affinity_required",
    "image_pull_secrets",
)
"""The options of KubeSpawner that a start sets."""


class AtollKubeSpawner(SavingMixin, PodSpawner):
    """Pods of what the service prepared and of the profile that was chosen."""

    hold_image = Unicode(config=True, help="The image of atoll-hold; empty: pods are not held.")
    hold_port = Integer(8889, config=True, help="Its port in the pod.")
    grace_s = Integer(600, config=True, help="Seconds that a deleted pod is held, at most.")
    pull_secret = Unicode(config=True, help="The secret to pull saved environments with.")
    kept_prefix = Unicode("atoll", config=True, help="Environments are in repositories below it.")
    public_service_url = Unicode(config=True, help="The service, as pods reach it.")
    storage = Instance(StorageSection, (), config=True, help="Where homes are.")

    # KubeSpawner's; lists, or dictionaries that it sorts by their keys
    volumes: Any
    volume_mounts: Any
    tolerations: Any
    node_selector: Any
    pod_affinity_required: Any
    image_pull_secrets: Any
    _pvc_exists: bool  # or it was remembered

    contained = True
    _scarcity: ClassVar[Scarcity] = Scarcity()
    _configured: dict[str, Any] | None = None  # the operator's options, before a profile's
    _own: tuple[str, Any, Any] = ("", None, {})  # the profile's image, its secrets, and nodes
    _home_path: str | None = None

    def get_state(self) -> dict[str, Any]:
        """KubeSpawner's, and where the user's home is."""
        state: dict[str, Any] = super().get_state()
        if self._home_path is not None:
            state[homes.HOME_PATH] = self._home_path
        return state

    def load_state(self, state: dict[str, Any]) -> None:
        """Take what a hub before this one kept."""
        super().load_state(state)
        self._home_path = state.get(homes.HOME_PATH)

    async def start(self) -> str:
        """As the classes before; where the home is, the user's other servers know from then on."""
        address: str = await super().start()
        if self.name:
            homes.remember(self.user, self.get_state())
        return address

    def get_env(self) -> dict[str, str]:
        """The server's environment variables."""
        env: dict[str, str] = super().get_env()
        env.update(HOME=self.storage.mount, JUPYTER_RUNTIME_DIR=f"{_RUNTIME}/jupyter")
        if self.storage.on_network:
            env["ATOLL_HOME_ON_NETWORK"] = "1"
        env.update(self.profile_variables)
        if self.preparation is not None:
            env.update(self.preparation.variables)
        env["ATOLL_URL"] = self.public_service_url
        return env

    def get_args(self) -> list[str]:
        """The server's arguments; SQLite files stay off network file systems."""
        args: list[str] = super().get_args()
        if self.storage.on_network:
            args.append(f"--NotebookNotary.db_file={_RUNTIME}/nbsignatures.db")
            args.append(f"--BaseFileIdManager.db_path={_RUNTIME}/file_id_manager.db")
        return args

    async def load_user_options(self) -> None:
        """What was chosen was taken before, from our profiles; a `profile_list` is KubeSpawner's."""
        # another try may have changed them
        self.image, self.image_pull_secrets, self.node_selector = self._own
        if self.profile_list:
            await self._load_listed()
        preparation = self.preparation
        if preparation is not None and preparation.image is not None:
            self.image = preparation.image
            self._to_nodes_of(preparation.architecture)
            if self.pull_secret:
                self.image_pull_secrets = [*(self.image_pull_secrets or []), self.pull_secret]

    def _to_nodes_of(self, architecture: str | None) -> None:
        """An image has one architecture: its pod goes to nodes of that. Raises StartRefused."""
        wanted = self.node_selector.get(_ARCHITECTURE, architecture)
        if architecture is None:
            return
        if wanted != architecture:
            raise StartRefused(
                f"This environment was saved on {architecture}, and the profile is for {wanted}."
                " Choose another profile, or start fresh and rebase the environment there.",
                reason="architecture",
                status=409,
            )
        self.node_selector = {**self.node_selector, _ARCHITECTURE: architecture}

    async def get_pod_manifest(self) -> V1Pod:
        """KubeSpawner's pod, and what the platform needs of it."""
        assert self.preparation is not None  # noqa: S101  # a start is prepared first
        hold = pod_manifest.Hold(
            image=self.hold_image,
            port=self.hold_port,
            url=f"{self.public_service_url}api/v1/starts/{self.preparation.start_id}/hold",
            token=self.preparation.hold_token,
            grace_s=self.grace_s,
        )
        pod = await super().get_pod_manifest()
        start_id = self.preparation.start_id
        return pod_manifest.complete(pod, start_id, hold if self.hold_image else None)

    async def refused(self, step: Step, waited_s: float) -> StartRefused:
        """Another environment may start where the image of this one is gone or broken."""
        refusal = await super().refused(step, waited_s)
        digest = self.preparation.environment if self.preparation is not None else None
        broken = step.trouble == Trouble.IMAGE and _BROKEN.search(step.detail)
        if digest is None or step.container != NOTEBOOK or not broken:
            return refusal
        short = f"{step.message}: the next best one is started"
        return EnvironmentUnusable(refusal.jupyterhub_message, digest=digest, short=short)

    async def shortages(self) -> dict[str, str]:
        """Why profiles cannot start now, where the cluster's nodes tell."""
        offered = self.profiles.to(self.groups)
        return await self._scarce(offered)

    async def _scarce(self, profiles: Mapping[str, Profile]) -> dict[str, str]:
        timeout_s = self.k8s_api_request_timeout
        return await self._scarcity.of(profiles, self.api, timeout_s, self.user.name)

    async def _attempt(self) -> Attempt:
        """With where the home is, and how the GPUs stand, where the profile has some."""
        claim = storage.home_claim(self.storage, self.pvc_name)
        attempt = dataclasses.replace(await super()._attempt(), home_claim=claim)
        name = self.asked("profile")
        profile = self.profiles.profiles.get(name)
        if profile is None or self.profile_list:
            return attempt
        taken = profile.sized(self.asked("size")).model_copy(update={"sizes": {}})
        scarce = (await self._scarce({name: taken})).get(name, "")
        return dataclasses.replace(attempt, scarce=scarce)

    async def own_form(self) -> str:
        """KubeSpawner's own form of a `profile_list`, empty for none."""
        if not self.profile_list:
            return ""
        if callable(self.profile_list):
            return str(await self._render_options_form_dynamically(self))
        return str(self._render_options_form(self._sorted_dict_values(self.profile_list)))

    def own_options(self, data: Mapping[str, Sequence[str]]) -> dict[str, Any]:
        """What was chosen in that form."""
        return dict(self._options_from_form(data)) if self.profile_list else {}

    async def _load_listed(self) -> None:
        try:
            await super().load_user_options()
        except (ValueError, KeyError) as error:
            raise ChoiceRefused(
                f"What was chosen is not offered: {error}", reason="invalid", status=422
            ) from error
        typed = any(str(name).endswith("--unlisted-choice") for name in self.user_options or {})
        if typed and Kept(self.kept_prefix).holds(self.image):
            raise ChoiceRefused(
                f"{self.image} is where saved environments are kept, and cannot be named as an image.",
                reason="forbidden",
                status=403,
            )

    def _of_list(self) -> StartRequest:
        """The request where the operator has KubeSpawner's `profile_list`."""
        self._take_configured()
        self._mount(None)
        self.profile_variables = {}
        return self._for_environment()

    def _mount(self, profile: Profile | None) -> None:
        """The home, what groups share, and what the profile has, beside the operator's volumes."""
        home = storage.home_mount(self.storage)
        if "subPath" in home:
            self._home_path = (
                self._home_path
                or homes.remembered(self.user, homes.HOME_PATH)
                or self._expand_user_properties(home["subPath"])
            )
            home["subPath"] = self._home_path
        elif self.remember_pvc_name and not self._pvc_exists:
            claim = homes.remembered(self.user, homes.CLAIM)
            if claim is not None:
                self.pvc_name, self._pvc_exists = claim, True
        directories = storage.shares(self.storage, self.groups)
        if profile is not None:
            directories += storage.of_profile(profile.volumes)
        volumes, mounts = mounted(directories, storage.known(self.storage))
        volumes, mounts = [storage.home_volume(self.storage), *volumes], [home, *mounts]
        if profile is not None and profile.shared_memory is not None:
            volume, mount = storage.shared_memory(profile.shared_memory)
            volumes.append(volume)
            mounts.append(mount)
        if self.storage.on_one_node:
            user = self._build_common_labels({})[storage.USER_LABEL]
            rules = self._sorted_dict_values(self.pod_affinity_required)
            self.pod_affinity_required = [*rules, storage.beside(user)]
        self.volumes = [*self._sorted_dict_values(self.volumes), *volumes]
        self.volume_mounts = [*self._sorted_dict_values(self.volume_mounts), *mounts]

    def _take_configured(self) -> None:
        """The operator's options as they were before a start on this object changed them."""
        if self._configured is None:
            more = {name for one in self.profiles.profiles.values() for name in one.kubespawner}
            names = {*_CHANGED, *more}
            self._configured = {name: copy.deepcopy(getattr(self, name)) for name in names}
        for name, value in self._configured.items():
            setattr(self, name, copy.deepcopy(value))

    def _place(self) -> Place:
        """Node, container and image of the pod as it runs; raises StartRefused for no digest."""
        pod = msgspec.convert(self.pod_reflector.pods[self._key], Pod)
        status = pod.container(NOTEBOOK)
        image = status.image_id.removeprefix("docker-pullable://") if status else ""
        if "@" not in image and "@sha256:" in self.image:
            image = self.image
        try:
            return Place(
                node=pod.spec.node_name,
                container=f"{pod.metadata.namespace}/{pod.metadata.name}/{NOTEBOOK}",
                image=_without_tag(image),
            )
        except ValidationError as error:
            raise pod_refusals.without_digest(self.image, self.contact) from error

    async def run_post_stop_hook(self) -> None:
        """After any end: where the profile saves nothing, what was changed is given up."""
        profile = self.profiles.profiles.get(self.asked("profile"))
        if profile is not None and not profile.saved:
            await self._tell_ended(self._start_id)
            try:
                async with asyncio.timeout(_GIVEN_UP_S):
                    await self.service.send(client.discard(self.user.name, self.name))
            except (AtollError, TimeoutError) as error:
                self.log.warning("%s is saved after all: %s", self._log_name, error)
        await maybe_future(super().run_post_stop_hook())

    async def _clear_away(self) -> None:
        """Have what a lost hub left of this server saved: its pod is of a start of its own."""
        for pod in await self.leftovers():
            start_id = pod.metadata.annotations.get(pod_manifest.START_ANNOTATION)
            await asyncio.gather(self._tell_ended(start_id), self.end_leftover(pod))

    def _request(self) -> StartRequest:
        request: StartRequest = super()._request() if not self.profile_list else self._of_list()
        self._own = (self.image, self.image_pull_secrets, self.node_selector)
        return request.model_copy(update={"contained": True})

    def _set_up(self, profile: Profile) -> None:
        """Set KubeSpawner's options by the profile, over the operator's; raises AtollError."""
        self._take_configured()
        profile = profile.sized(self.asked("size"))
        kept = Kept(self.kept_prefix)
        own, choice = self.asked("own_image"), self.asked("image")
        self.image = profile.image_of(choice, own, self.image, kept)
        self.profile_variables = profile.of_server()
        self._apply_overrides(_options(profile))
        self.tolerations = [
            *self._sorted_dict_values(self.tolerations),
            *(one.manifest() for one in profile.tolerations),
        ]
        self._mount(profile)
        self._apply_overrides(copy.deepcopy(profile.kubespawner))


def _options(profile: Profile) -> dict[str, Any]:
    """A profile in KubeSpawner's options."""
    options: dict[str, Any] = {}
    if profile.cpu is not None:
        options["cpu_limit"] = profile.cpu
    if profile.memory is not None:
        options["mem_limit"] = number_of_bytes(profile.memory)
    if profile.cpu_guarantee is not None:
        options["cpu_guarantee"] = profile.cpu_guarantee
    if profile.memory_guarantee is not None:
        options["mem_guarantee"] = number_of_bytes(profile.memory_guarantee)
    if profile.node_selector:
        options["node_selector"] = dict(profile.node_selector)
    if profile.gpu is not None:
        amount = {profile.gpu.resource: str(profile.gpu.count)}
        options["extra_resource_limits"] = amount
        options["extra_resource_guarantees"] = dict(amount)
        if profile.gpu.runtime_class:
            options["extra_pod_config"] = {"runtimeClassName": profile.gpu.runtime_class}
    return options


def _without_tag(image: str) -> str:
    """`host/name:tag@digest` as `host/name@digest`."""
    name, separator, digest = image.partition("@")
    head, slash, last = name.rpartition("/")
    return f"{head}{slash}{last.partition(':')[0]}{separator}{digest}"

"""The spec: one YAML file that describes one deployment. Models only; `load` reads, `checks` looks across fields.

Field descriptions feed the JSON Schema and docs/reference/spec.md.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from edge_expose_contract.addressing import AddressSet
from edge_expose_contract.models import Exposure, Site
from edge_expose_contract.violations import RuleError


def _range(text: str) -> str:
    try:
        AddressSet.parse(text)
    except RuleError as error:
        raise error.as_pydantic() from None
    return text


RangeText = Annotated[str, AfterValidator(_range)]
RestartPolicy = Literal["never", "on-failure", "on-unhealthy", "always"]
EnvValue = str | int | float | bool


class SpecModel(BaseModel):
    # A validator is made when it is first used: most commands use one of them.
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)


class Target(SpecModel):
    """Which devices: one by id, or all that match a condition."""

    device: str | None = Field(
        None, min_length=1, max_length=128, description="Device id, for set modules on one device."
    )
    condition: str | None = Field(
        None, description="Target condition of an automatic deployment, such as tags.site='north'."
    )
    priority: int = Field(0, ge=0, le=2147483647, description="Higher wins; a layer needs more than its base.")
    layered: bool = Field(False, description="true: a layer on top of a base deployment.")


class Network(Site):
    """The Compute network page of the device, and the networks an address must not come from."""

    pod_network: RangeText | None = Field(
        None, alias="podNetwork", description="Pod network; 172.27.0.0/16 on Azure Stack Edge."
    )
    service_network: RangeText | None = Field(
        None, alias="serviceNetwork", description="Service network; 172.28.0.0/16 on Azure Stack Edge."
    )
    node_count: int | None = Field(
        None, alias="nodeCount", ge=1, le=1000, description="How many nodes the device has; n nodes need n+1 node IPs."
    )


class Registry(SpecModel):
    """A container registry. Give the password by reference: ${env:NAME}."""

    address: str = Field(min_length=1, description="Registry host, such as registry.example.com.")
    username: str = Field(description="User name.")
    password: str = Field(description="Password, as ${env:NAME}.")


class ModuleSpec(SpecModel):
    """One IoT Edge module."""

    image: str = Field(description="Image reference, registry/name:tag.")
    create_options: dict[str, Any] = Field(
        default_factory=dict, alias="createOptions", description="Docker create options, as an object."
    )
    env: dict[str, EnvValue] = Field(default_factory=dict, description="Environment variables, name: value.")
    status: Literal["running", "stopped"] = Field("running", description="Desired status.")
    restart_policy: RestartPolicy = Field("always", alias="restartPolicy", description="When edgeAgent restarts it.")
    image_pull_policy: Literal["on-create", "never"] | None = Field(
        None, alias="imagePullPolicy", description="When the image is pulled."
    )
    startup_order: int | None = Field(
        None, alias="startupOrder", ge=0, le=4294967295, description="Lower starts first; last if left out."
    )
    version: str | None = Field(None, description="Shown in reports; for people only.")
    desired: dict[str, Any] | None = Field(None, description="Desired properties of the module's own twin.")


class SystemModule(SpecModel):
    """edgeAgent or edgeHub: only what differs from the defaults."""

    image: str | None = Field(None, description="Image reference.")
    create_options: dict[str, Any] | None = Field(
        None, alias="createOptions", description="Docker create options, as an object."
    )
    env: dict[str, EnvValue] = Field(default_factory=dict, description="Environment variables, name: value.")
    image_pull_policy: Literal["on-create", "never"] | None = Field(
        None, alias="imagePullPolicy", description="When the image is pulled."
    )


class Runtime(SpecModel):
    """The system modules."""

    edge_agent: SystemModule = Field(
        default_factory=SystemModule, alias="edgeAgent", description="The module that starts modules."
    )
    edge_hub: SystemModule = Field(
        default_factory=SystemModule, alias="edgeHub", description="The module that speaks to IoT Hub for the others."
    )
    time_to_live_secs: int = Field(
        7200, alias="timeToLiveSecs", description="How long edgeHub keeps messages while offline; negative: for ever."
    )


class Route(SpecModel):
    """A route with priority or time to live (edgeHub schema 1.1)."""

    route: str = Field(description="FROM source [WHERE condition] INTO sink.")
    priority: int | None = Field(None, ge=0, le=9, description="0 is highest.")
    time_to_live_secs: int | None = Field(
        None, alias="timeToLiveSecs", ge=0, le=4294967295, description="Overrides runtime.timeToLiveSecs."
    )


class Spec(SpecModel):
    """A deployment, written by people."""

    schema_version: str = Field(alias="schemaVersion", description='"1.0".')
    name: str = Field(min_length=1, max_length=128, description="Name of the deployment; part of its id in IoT Hub.")
    target: Target = Field(description="Which devices get it.")
    driver: Literal["module", "manifest"] = Field(
        "module", description="module: ours makes the Services; manifest: edgeAgent makes them."
    )
    driver_image: str | None = Field(
        None,
        alias="driverImage",
        description="Image of the edge-expose module that is added to the manifest. Left out: the environment variable "
        "EDGE_EXPOSE_MODULE_IMAGE, else edge-expose/module:1, which no public registry has.",
    )
    network: Network | None = Field(None, description="Ranges of the device; left out: those of the inventory.")
    registries: dict[str, Registry] = Field(default_factory=dict, description="Registry credentials by label.")
    runtime: Runtime = Field(default_factory=Runtime, description="The system modules, where defaults do not do.")
    modules: dict[str, ModuleSpec] = Field(default_factory=dict, description="Modules by name.")
    routes: dict[str, str | Route] = Field(default_factory=dict, description="edgeHub routes by name.")
    exposures: dict[str, Exposure] = Field(
        default_factory=dict, description="Exposures by name; the name is the Service's name."
    )
    labels: dict[str, str] = Field(default_factory=dict, description="Labels of the automatic deployment.")
    add_module: bool = Field(
        True, alias="addModule", description="false: do not add the edge-expose module to the manifest."
    )
    add_edge_hub: bool = Field(
        True,
        alias="addEdgeHub",
        description="false: leave $edgeHub out of the manifest; devices keep their routes and time to live. "
        "With true, a spec without routes takes all routes away.",
    )
    keep: dict[str, Any] = Field(
        default_factory=dict,
        description="What import found in a manifest and a spec has no field for: by twin, a merge patch of what is "
        "rendered (null takes a key away): of properties.desired, or of the section itself where its keys begin so.",
    )

    @property
    def target_text(self) -> str:
        """`device edge1`, or `condition tags.site='north'`."""
        return f"device {self.target.device}" if self.target.device else f"condition {self.target.condition!r}"


def site_of(network: Network | None) -> Site | None:
    """The part of a network that travels to the module."""
    if network is None:
        return None
    fields = {
        key: value for key, value in network.model_dump(by_alias=True, exclude_none=True).items() if key in SITE_FIELDS
    }
    return Site.model_validate(fields) if fields else None


SITE_FIELDS = frozenset(field.alias or name for name, field in Site.model_fields.items())

"""Manifests of any shape, for properties; and an independent reading of whether two of them mean the same."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from typing import Any

from hypothesis import strategies as st

Json = dict[str, Any]
DESIRED = "properties.desired"

#: text that reads like a reference, a variable, another kind of value, or an end of something
ODD_TEXTS = st.sampled_from(
    [
        "",
        "${A}",
        "$${A}",
        "${env:A}",
        "x${env:A}y",
        "${",
        "$",
        "$$",
        "null",
        "22:22",
        "on",
        "1e3",
        "0o17",
        "<<",
        "- a",
        "#",
        "é\u2028",
    ]
)
TEXTS = ODD_TEXTS | st.text(st.characters(codec="utf-8"), max_size=10)
KEYS = st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_-]{0,8}", fullmatch=True)
NUMBERS = st.integers(-(2**52), 2**52 - 1) | st.floats(allow_nan=False, allow_infinity=False)
SCALARS = st.none() | st.booleans() | NUMBERS | TEXTS
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=6
)
OBJECTS = st.dictionaries(KEYS, VALUES, max_size=3)
IMAGES = st.sampled_from(
    [
        "r.example.com/web:1",
        "$upstream:443/azureiotedge-agent:1.5",
        "$upstream/a/b:2",
        "${MODULES.web}",
        "a@sha256:" + "0" * 64,
    ]
)
MODULES = st.sampled_from(["web", "db", "cam_1", "Up", "a" * 128, "edge-expose"])
ROUTES = st.sampled_from(
    [
        "FROM /messages/* INTO $upstream",
        "FROM /messages/modules/web/outputs/o/* WHERE a = '${x}' INTO $upstream",
        'FROM /any/path INTO BrokeredEndpoint("/modules/db/inputs/i")',
    ]
)


@st.composite
def created(draw: st.DrawFn) -> Json:
    """The fields of createOptions: any JSON text, however spelled, cut anywhere; an object; broken; or none."""
    options = draw(OBJECTS)
    kind = draw(st.sampled_from(["cut", "cut", "object", "nothing", "text"]))
    if kind == "object":
        return {"createOptions": options}
    if kind == "nothing":
        return draw(st.sampled_from([{}, {"createOptions": ""}, {"createOptions": "null"}, {"createOptions": None}]))
    text = json.dumps(options, indent=draw(st.none() | st.integers(0, 2)), ensure_ascii=draw(st.booleans()))
    if kind == "text":
        text = draw(st.sampled_from(["{oops", "[]", "5", '{"a": NaN}', '{"a": 1e999}', '{"a": "\\ud800"}', text + "x"]))
    name = draw(st.sampled_from(["createOptions", "createoptions"]))
    cuts = sorted({0, *draw(st.lists(st.integers(0, len(text)), max_size=3)), len(text)})
    pieces = [text[start:end] for start, end in itertools.pairwise(cuts)] or [text]
    return {name if number == 0 else f"{name}{number:02d}": piece for number, piece in enumerate(pieces)}


@st.composite
def module(draw: st.DrawFn) -> Json:
    entry: Json = {"type": "docker", "status": "running", "restartPolicy": "always"}
    entry["settings"] = {"image": draw(IMAGES), **draw(created()), **draw(extra({"digest": TEXTS, "auth": OBJECTS}))}
    values = st.one_of(st.fixed_dictionaries({"value": TEXTS | NUMBERS | st.booleans()}), VALUES)
    entry.update(
        draw(
            extra(
                {
                    "env": st.dictionaries(KEYS, values, max_size=2),
                    "status": st.sampled_from(["stopped", "running", 5]),
                    "restartPolicy": st.sampled_from(["never", "often", None]),
                    "imagePullPolicy": st.sampled_from(["never", "on-create", "odd"]),
                    "startupOrder": st.sampled_from([0, 4294967295, -1, "1"]),
                    "version": TEXTS | NUMBERS,
                    "labels": OBJECTS,
                }
            )
        )
    )
    return without_some(draw, entry, "type", "restartPolicy", "settings")


@st.composite
def credentials(draw: st.DrawFn) -> Any:
    """Of a registry; every secret contains SECRET, or is the number 471108154711."""
    secret = st.sampled_from(["SECRET-1", "SECRET-2", 471108154711, "", "${env:MINE}", "${LATER}"])
    entry = {"address": draw(st.sampled_from(["r.example.com", "$upstream:443", "${A}"])), "username": draw(TEXTS)}
    entry["password"] = draw(secret)
    entry.update(draw(extra({"Password": secret, "token": secret, "more": st.lists(secret, max_size=2)})))
    return draw(st.just(without_some(draw, entry, "address", "username", "password")) | secret)


@st.composite
def base_sections(draw: st.DrawFn) -> Json:
    """Whole desired sections of `$edgeAgent` and `$edgeHub`."""
    runtime: Json = {"type": "docker", "settings": {"minDockerVersion": "v1.25", "loggingOptions": ""}}
    registries = st.dictionaries(KEYS, credentials(), max_size=2)
    runtime["settings"].update(draw(extra({"registryCredentials": registries, "RegistryCredentials": registries})))
    agent: Json = {
        "schemaVersion": draw(st.sampled_from(["1.0", "1.1", "${VERSION}", 1.0])),
        "runtime": runtime,
        "systemModules": {"edgeAgent": draw(module()), "edgeHub": draw(module())},
        "modules": draw(st.dictionaries(MODULES, module(), max_size=3)),
        **draw(extra({"new": OBJECTS})),
    }
    found = {"$edgeAgent": {DESIRED: without_some(draw, agent, "runtime", "systemModules", "modules")}}
    route = ROUTES | st.fixed_dictionaries({"route": ROUTES}, optional={"priority": st.integers(0, 10)}) | VALUES
    hub = {
        "schemaVersion": draw(st.sampled_from(["1.0", "1.1", "1.2"])),
        "routes": draw(st.dictionaries(KEYS, route, max_size=2)),
        "storeAndForwardConfiguration": draw(
            st.sampled_from([{"timeToLiveSecs": 7200}, {"timeToLiveSecs": -1, "a": {}}])
        ),
        **draw(extra({"mqttBroker": OBJECTS})),
    }
    if draw(st.booleans()):
        found["$edgeHub"] = {DESIRED: draw(st.just(without_some(draw, hub, "routes")) | OBJECTS)}
    return found


EXPOSURE = {"module": "web", "ports": ["8080:80"]}


@st.composite
def ours(draw: st.DrawFn) -> Json:
    """Desired properties of our module, with fields of a newer version and broken ones."""
    exposure = st.fixed_dictionaries(
        {"module": st.just("web"), "ports": st.sampled_from([["80"], ["53/udp", "5000-5002:80"], 5])},
        optional={"newer": VALUES, "allowFrom": st.just(["10.0.0.0/8"]), "enabled": st.booleans()},
    )
    site = {"externalServiceIPs": st.sampled_from(["10.0.0.1-10.0.0.9", ["10.0.0.1/32"], "x"]), "podNetwork": TEXTS}
    return {
        **draw(extra({"schemaVersion": st.sampled_from(["1.0", "2.0"])})),
        **draw(extra({"exposures": st.dictionaries(st.sampled_from(["a", "b-1"]), exposure, max_size=2)})),
        **draw(extra({"site": extra(site), "change": OBJECTS, "confirmRemoval": TEXTS, "later": OBJECTS})),
    }


@st.composite
def contents(draw: st.DrawFn) -> Json:
    """`modulesContent` of any shape: for one device, a base deployment or a layer; dotted keys of every depth."""
    found = draw(base_sections())
    twins = st.dictionaries(st.sampled_from(["web", "db", "ghost", "a:b+c"]), OBJECTS, max_size=2)
    found.update({name: {DESIRED: desired} for name, desired in draw(twins).items()})
    if draw(st.booleans()):
        found["edge-expose"] = {DESIRED: draw(ours())}
    for name in draw(st.lists(st.sampled_from(["$edgeAgent", *sorted(found)]), unique=True, max_size=4)):
        found[name] = dotted(draw, found[name][DESIRED])
    found.update(draw(extra({"empty": st.just({}), "cleared": st.just({DESIRED: {}}), "odd": SCALARS})))
    found.update(draw(extra({"strange": st.just({"other": 1, DESIRED: {"a": 1}, f"{DESIRED}.": 1})})))
    if draw(st.integers(0, 20)) == 0:
        found.pop("$edgeAgent")
    return found


def dotted(draw: st.DrawFn, desired: Json) -> Json:
    """A section in single keys: each value taken apart some levels deep; now and then beside a whole one."""
    found: Json = {}

    def apart(path: str, value: Any, depth: int) -> None:
        if isinstance(value, dict) and value and depth > 0:
            for key, item in value.items():
                apart(f"{path}.{key}", item, depth - draw(st.integers(1, 2)))
        else:
            found[path] = value

    for key, value in desired.items():
        apart(f"{DESIRED}.{key}", value, draw(st.integers(0, 7)))
    if draw(st.integers(0, 9)) == 0:
        found[DESIRED] = {"beside": 1}
    return found


def extra(fields: Mapping[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[Json]:
    """Some of these fields, mostly none."""
    return st.just({}) | st.fixed_dictionaries({}, optional=dict(fields))


def without_some(draw: st.DrawFn, entry: Json, *names: str) -> Json:
    """Now and then one of the named fields is missing."""
    gone = draw(st.sampled_from([*[None] * 12, *names]))
    return {key: value for key, value in entry.items() if key != gone}


def plain(value: Any) -> Any:
    """The manifest with createOptions as one object wherever edgeAgent could read them."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    fields = {key: item for key, item in value.items() if _is_options(key)}
    rest = {key: plain(item) for key, item in value.items() if key not in fields}
    if not fields:
        return rest
    options = _options(fields)
    return {**rest, **({"createOptions": options} if options else {} if options == {} else fields)}


def unlike(left: Any, right: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any, Any]]:
    """(path, there, here) of every place where two plain values differ; `...` for nothing."""
    if isinstance(left, dict) and isinstance(right, dict):
        for key in left.keys() | right.keys():
            yield from unlike(left.get(key, ...), right.get(key, ...), (*path, *key.split(".")))
    elif isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        for index, (there, here) in enumerate(zip(left, right, strict=True)):
            yield from unlike(there, here, (*path, str(index)))
    elif left is not right and (
        ... in (left, right) or isinstance(left, bool) or isinstance(right, bool) or left != right
    ):
        yield path, left, right


def _is_options(key: str) -> bool:
    rest = key.lower().removeprefix("createoptions")
    return rest != key.lower() and (rest == "" or rest.isdigit())


def _options(fields: Json) -> Any:
    """What edgeAgent would read, None where it would refuse it: fields in order, numbered without a gap, one object."""
    ordered = sorted(fields)
    for number, key in enumerate(ordered):
        digits = key.lower().removeprefix("createoptions")
        if (number == 0) != (digits == "") or (number and int(digits) != number):
            return None
    pieces = [
        item if isinstance(item, str) else "" if item is None else json.dumps(item) for item in map(fields.get, ordered)
    ]
    text = "".join(pieces)
    if text.strip().lower() in ("", "null"):
        return {}

    def refuse(number: str) -> float:
        raise ValueError(number)

    try:
        value = json.loads(text, parse_constant=refuse)
        json.dumps(value, ensure_ascii=False).encode()
        json.dumps(value, allow_nan=False)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


@st.composite
def sound_contents(draw: st.DrawFn) -> Json:
    """Mostly what `az iot edge` and IoT Hub take: for one device or a layer."""
    modules = draw(st.dictionaries(MODULES.filter(lambda name: name != "edge-expose"), sound_module(), max_size=3))
    twins = draw(st.dictionaries(st.sampled_from(["web", "ghost", "a:b+c"]), st.dictionaries(KEYS, TEXTS), max_size=2))
    credentials = {"address": "$upstream:443", "username": draw(TEXTS), "password": draw(TEXTS)}
    routes = draw(st.dictionaries(KEYS, ROUTES, max_size=2))
    if draw(st.booleans()):
        agent = {f"{DESIRED}.modules.{name}": entry for name, entry in modules.items()}
        agent |= draw(extra({f"{DESIRED}.runtime.settings.registryCredentials.r": st.just(credentials)}))
        hub = {f"{DESIRED}.routes.{name}": route for name, route in routes.items()}
        return {"$edgeAgent": agent, "$edgeHub": hub} | {name: dotted(draw, desired) for name, desired in twins.items()}
    system = {
        "edgeAgent": {"type": "docker", "settings": draw(sound_module())["settings"]},
        "edgeHub": draw(sound_module()),
    }
    runtime = {"type": "docker", "settings": draw(extra({"registryCredentials": st.just({"r": credentials})}))}
    agent = {"schemaVersion": draw(st.sampled_from(["1.0", "1.1"])), "systemModules": system, "modules": modules}
    found: Json = {"$edgeAgent": {DESIRED: {**agent, "runtime": runtime}}}
    found |= draw(extra({"$edgeHub": st.just({DESIRED: {"schemaVersion": "1.1", "routes": routes}})}))
    return found | {name: {DESIRED: desired} for name, desired in twins.items()}


@st.composite
def sound_module(draw: st.DrawFn) -> Json:
    text = json.dumps(draw(OBJECTS), indent=draw(st.none() | st.just(1)))
    cut = draw(st.integers(0, len(text)))
    options = (
        {"createOptions": text[:cut], "createOptions01": text[cut:]} if draw(st.booleans()) else {"createOptions": text}
    )
    env = st.dictionaries(KEYS, st.fixed_dictionaries({"value": TEXTS | NUMBERS | st.booleans()}), max_size=2)
    return {
        "type": "docker",
        "status": draw(st.sampled_from(["running", "stopped"])),
        "restartPolicy": draw(st.sampled_from(["always", "never", "on-failure", "on-unhealthy"])),
        "settings": {"image": draw(IMAGES), **options},
        **draw(extra({"env": env, "startupOrder": st.integers(0, 9)})),
    }

"""The config that the TypeScript trainer reads: same file, same defaults, same limits.

training/config/schema.json is the JSON Schema of training/config/config.ts; what a schema cannot say is repeated here.
"""

import json
import os

from errors import FsvaeError

_SCHEMA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "config", "schema.json")

# Fields of an FSVAE that only the TypeScript trainer can give another value than this.
_ELSEWHERE = {"quantization": None, "shards": 1}


def _is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _check(value, rule, path, problems):
    """value with the defaults of what is absent; problems are appended as `field: what is wrong`."""
    where = ".".join(path) or "the file"
    if "anyOf" in rule:
        if value is None and {"type": "null"} in rule["anyOf"]:
            return None
        rule = next(option for option in rule["anyOf"] if option["type"] != "null")
    kind = rule["type"]
    if kind == "object":
        if not isinstance(value, dict):
            problems.append(f"{where}: must be an object")
            return value
        properties = rule["properties"]
        for name in value:
            if name not in properties:
                problems.append(f"{'.'.join([*path, name])}: is no field")
        for name in rule.get("required", []):
            if name not in value and "default" not in properties[name]:
                problems.append(f"{'.'.join([*path, name])}: is missing")
        return {
            name: _check(value.get(name, inner.get("default")), inner, [*path, name], problems)
            for name, inner in properties.items()
            if name in value or "default" in inner
        }
    if kind == "array":
        low, high = rule.get("minItems", 0), rule.get("maxItems", float("inf"))
        if not isinstance(value, list) or not low <= len(value) <= high:
            problems.append(f"{where}: must be a list of {low} to {high}")
            return value
        return [_check(item, rule["items"], [*path, str(i)], problems) for i, item in enumerate(value)]
    if kind in ("integer", "number"):
        low, high = rule.get("minimum", float("-inf")), rule.get("maximum", float("inf"))
        whole = kind == "integer"
        if not _is_number(value) or not low <= value <= high or (whole and value != int(value)):
            problems.append(f"{where}: must be a {'whole ' if whole else ''}number from {low} to {high}")
        elif "multipleOf" in rule and (value / rule["multipleOf"]) % 1 != 0:
            problems.append(f"{where}: must be a multiple of 1/{round(1 / rule['multipleOf'])}")
        return int(value) if whole and _is_number(value) and value == value // 1 else value
    if kind == "boolean" and not isinstance(value, bool):
        problems.append(f"{where}: must be true or false")
    if kind == "string" and value not in rule.get("enum", [rule.get("const", value)]):
        problems.append(f"{where}: must be one of {', '.join(rule.get('enum') or [rule['const']])}")
    return value


def _across_fields(config, problems):
    model, before = config["model"], 0
    step = 2 ** len(model["hiddenChannels"])
    if model["imageSize"] % step != 0:
        problems.append(f"model.imageSize: must be a multiple of {step}: each of {len(model['hiddenChannels'])} hidden layers halves it")
    if model["channels"] == 2:
        problems.append("model.channels: must be 1 or 3")
    for i, stage in enumerate(config.get("curriculum", [])):
        if stage["until"] <= before:
            problems.append(f"curriculum.{i}.until: must be above the one before")
        if stage["timeSteps"] > model["timeSteps"]:
            problems.append(f"curriculum.{i}.timeSteps: must be at most model.timeSteps, {model['timeSteps']}")
        before = stage["until"]


def parse_config(value, source):
    """@raises FsvaeError `input`, one line: every field that is out of range, with its limits."""
    with open(_SCHEMA) as file:
        schemas = json.load(file)["$defs"]
    kind = str(value.get("kind", "fsvae")) if isinstance(value, dict) else "fsvae"
    if kind not in schemas:
        raise FsvaeError("input", f"{source}: kind: must be one of {', '.join(schemas)}; docs/training.md lists the fields")
    problems = []
    if isinstance(value, dict) and kind == "fsvae":
        for field, default in _ELSEWHERE.items():
            if value.get(field, default) != default:
                problems.append(f"{field}: is for fsvae-codegen train alone, leave it out here")
        value = {field: inner for field, inner in value.items() if field not in _ELSEWHERE}
    config = _check(value, schemas[kind], [], problems)
    if not problems:
        config.update(_ELSEWHERE if kind == "fsvae" else {})
        _across_fields(config, problems)
    if problems:
        raise FsvaeError("input", f"{source}: {'; '.join(problems)}; docs/training.md lists the fields")
    return config


def read_config(path):
    try:
        with open(path) as file:
            value = json.load(file)
    except OSError as error:
        raise FsvaeError("usage", f"{path}: cannot be read ({error.strerror})")
    except ValueError:
        raise FsvaeError("input", f"{path}: is not JSON")
    return parse_config(value, path)


def time_steps_of(config, epoch):
    """T of an FSVAE's epoch, counted from 0."""
    stages = (stage["timeSteps"] for stage in config["curriculum"] if epoch < stage["until"])
    return next(stages, config["model"]["timeSteps"])


def changed_fields(a, b, path=""):
    """Fields, as paths, in which two configs differ."""
    found = []
    for key in sorted(set(a) | set(b)):
        left, right = a.get(key), b.get(key)
        if isinstance(left, dict) and isinstance(right, dict):
            found += changed_fields(left, right, f"{path}{key}.")
        elif left != right:
            found.append(path + key)
    return found

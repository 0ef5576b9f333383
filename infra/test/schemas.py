"""The providers' published schemas, for the resources that are used here.

No provider binary can be had from a package registry. But the providers' schemas are published there, as the typed
bindings of CDK for Terraform, which are generated from `terraform providers schema`. This reads them back: each
attribute's name, type and whether it is required, optional or computed, and each block with its nesting. What the
documentation says of a text's length is read with it, for limits.py.
"""

import hashlib
import io
import json
import pathlib
import re
import tarfile
import zipfile

# What the generated classes say of an attribute: how it is read; that it can be set, and need not be, by what else there is.
READ = re.compile(r"get (\w+)\(\) \{\n\s+return (.*Attribute\('(\w+)'.*);\n")
NESTED = re.compile(r"\b_(\w+) = new (\w+)\(this, \"(\w+)\"(?:, (true|false))?\)")
COMPUTED = re.compile(r"// (\w+) - computed: true, optional: true,")
SETTABLE = re.compile(
    r"^\s+(\w+): \{\n\s+value: .*\n\s+isBlock: (true|false),\n\s+type: \"(\w+)\",\n\s+storageClassType: \"(\w+)\"", re.M
)
# What the documentation says of a text: how long it is, and of what.
LENGTH = re.compile(r"(?:must|should) be (?:the )?(\d+)-(\d+) characters")
MOST = re.compile(r"(?:[Cc]annot exceed|[Mm]ax length is|maximum length of [\w ]+ is) (\d+)")
SHAPE = re.compile(r"match the regular expression '?(\[[^ ']+)'? |may contain the characters (\[[^ \]]+\])")
SIMPLE = {"string": "string", "number": "number", "boolean": "bool", "any": "dynamic"}
GETTERS = {"String": "string", "Number": "number", "Boolean": "bool", "Any": "dynamic"}


class Bindings:
    """One provider's bindings: the wheel as it was downloaded."""

    def __init__(self, wheel):
        with zipfile.ZipFile(wheel) as archive:
            (inner,) = [name for name in archive.namelist() if name.endswith(".jsii.tgz")]
            self.archive = archive.read(inner)
        self.version = None

    def read(self, folders):
        """The sources of these folders of the package, and their declarations, which have the documentation: by folder and name."""
        wanted = {f"package/lib/{folder}/{name}": (folder, name) for folder in folders for name in ("index.js", "index.d.ts")}
        found = {}
        with tarfile.open(fileobj=io.BytesIO(self.archive), mode="r:gz") as archive:
            for member in archive:
                if member.name in wanted:
                    found[wanted[member.name]] = archive.extractfile(member).read().decode()
                    if len(found) == len(wanted):
                        break
        return found


def load(wheels, used, cache):
    """`{provider: {"version", "provider", "resources", "data", "limits"}}` for what is used; kept in the cache's folder."""
    read_by = hashlib.sha256(pathlib.Path(__file__).read_bytes()).hexdigest()
    key = json.dumps([sorted(map(str, wheels.values())), sorted(used), read_by])
    cached = pathlib.Path(cache)
    if cached.exists():
        stored = json.loads(cached.read_text())
        if stored["key"] == key:
            return stored["schemas"]
    schemas = {name: of_provider(name, Bindings(wheel), used) for name, wheel in wheels.items()}
    cached.write_text(json.dumps({"key": key, "schemas": schemas}))
    return schemas


def of_provider(name, bindings, used):
    folders = {"provider": ("provider", None)}
    for mode, kind in used:
        if kind.startswith(f"{name}_"):
            dashed = kind.removeprefix(f"{name}_").replace("_", "-")
            folders[f"data-{name}-{dashed}" if mode == "data" else dashed] = (mode, kind)
    sources = bindings.read(folders)
    schema = {"version": None, "provider": None, "resources": {}, "data": {}, "limits": {}}
    for folder, (mode, kind) in folders.items():
        if (folder, "index.js") not in sources:
            continue  # the caller says which types are unknown
        text = sources[folder, "index.js"]
        schema["version"] = re.search(r"providerVersion: '([\d.]+)'", text)[1]
        block = Source(text).main()
        if mode == "provider":
            schema["provider"] = block
        else:
            schema["data" if mode == "data" else "resources"][kind] = block
        if mode == "resource":
            schema["limits"][kind] = limits(sources[folder, "index.d.ts"], block)
    return schema


def limits(text, block):
    """`{attribute: [least, most, pattern]}` of a resource's own texts, where its documentation says so: 0 and null where it does not."""
    found = {}
    (own,) = re.findall(r"^export interface \w+ extends cdkt[fn]\.TerraformMetaArguments \{\n(.*?)^\}", text, re.M | re.S)
    for words in re.findall(r"/\*\*((?:(?!\*/).)*)\*/\s+readonly \w+\??: string;", own, re.S):
        name = re.search(r"\{@link \S+#(\w+) ", words)[1]
        words = " ".join(line.strip(" *") for line in words.splitlines())
        length, most, shape = LENGTH.search(words), MOST.search(words), SHAPE.search(words)
        if length or most or shape:
            least, most = (int(length[1]), int(length[2])) if length else (0, int(most[1]) if most else 0)
            found[name] = [least, most, (shape[1] or shape[2] + "*") if shape else None]
    if unknown := set(found) - set(block["attributes"]):
        raise ValueError(f"documented, and no attribute: {sorted(unknown)}")
    return found


class Source:
    """One generated file."""

    def __init__(self, text):
        parts = re.split(r"^class (\w+) extends cdkt[fn]\.(\w+) \{\n", text, flags=re.M)
        bodies = list(zip(parts[1::3], parts[2::3], parts[3::3], strict=True))
        self.classes = {name: body for name, _, body in bodies}
        resources = ("TerraformResource", "TerraformDataSource", "TerraformProvider")
        (self.main_class,) = [name for name, base, _ in bodies if base in resources]
        functions = re.split(r"^function (\w+)ToHclTerraform\(struct\) \{\n", text, flags=re.M)
        self.functions = {name: body.split("\n}\n")[0] for name, body in zip(functions[1::2], functions[2::2], strict=True)}

    def main(self):
        body = self.classes[self.main_class]
        return self.block(body, body.partition("synthesizeHclAttributes()")[2])

    def nested(self, reference):
        """The block of a class `…OutputReference`."""
        name = reference.removesuffix("OutputReference")
        written = self.functions.get(name[:1].lower() + name[1:], "")
        return self.block(self.classes[reference], written)

    def block(self, body, written):
        settable = {name: (block == "true", kind, storage) for name, block, kind, storage in SETTABLE.findall(written)}
        # Of what can be set, only the newer bindings say whether the provider has a value where nothing is given.
        also_computed = set(COMPUTED.findall(body))
        attributes, blocks = {}, {}
        for own, getter, name in READ.findall(body):
            kind, storage = settable.get(name, (False, None, None))[1:]
            flags = told(body, own, f"set {own}(", name in also_computed)
            attributes[name] = {"type": attribute_type(getter, kind, storage), **flags}
        for own, made, name, is_set in NESTED.findall(body):
            is_block, kind, _ = settable.get(name, (False, None, None))
            flags = told(body, own, f"put{own[:1].upper()}{own[1:]}(", name in also_computed)
            single = made.endswith("OutputReference")
            item = made if single else made.removesuffix("List").removesuffix("Map") + "OutputReference"
            inner = self.nested(item)
            if is_block:
                nesting = "single" if kind == "struct" else "set" if kind == "set" else "list"
                most = 1 if single and nesting != "single" else 0
                blocks[name] = {"block": inner, "nesting": nesting, "min": int(flags["required"]), "max": most}
            else:
                collection = "set" if is_set == "true" else "list"
                type_ = object_type(inner)
                attributes[name] = {"type": type_ if single and kind == "struct" else [collection, type_], **flags}
        # A provider's own settings are never read. Its blocks are left out: none is used here.
        for name, (is_block, kind, storage) in settable.items():
            if name not in attributes and name not in blocks and not is_block:
                own = re.sub(r"_(\w)", lambda match: match[1].upper(), name)
                attributes[name] = {"type": attribute_type("", kind, storage), **told(body, own, f"set {own}(", False)}
        return {"attributes": attributes, "blocks": blocks}


def told(body, own, setter, also_computed):
    """A required attribute can be set and not be reset."""
    can_set, can_reset = setter in body, f"reset{own[:1].upper()}{own[1:]}(" in body
    return {"computed": not can_set or also_computed, "optional": can_set and can_reset, "required": can_set and not can_reset}


def attribute_type(after, kind, storage):
    """From what the setter takes, or else from what the getter gives."""
    is_set = kind == "set" or "Fn.tolist" in after
    if storage in SIMPLE:
        return SIMPLE[storage]
    if storage is not None and (match := re.fullmatch(r"(string|number|boolean|any)(List|Map)", storage)):
        element = SIMPLE[match[1]]
        return ["map", element] if match[2] == "Map" else ["set" if is_set else "list", element]
    if match := re.search(r"get(String|Number|Boolean|Any)?(List|Map)?Attribute\(", after):
        element = GETTERS[match[1] or "String"]
        if match[2] is None:
            return element
        return ["map", element] if match[2] == "Map" else ["set" if is_set else "list", element]
    return "dynamic"


def object_type(block):
    fields = {name: attribute["type"] for name, attribute in block["attributes"].items()}
    for name, nested in block["blocks"].items():
        fields[name] = [nested["nesting"], object_type(nested["block"])]
    return ["object", fields]

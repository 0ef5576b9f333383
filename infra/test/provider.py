"""Providers that have schemas and nothing else, for terraform's own `validate` and `test` (with mock providers).

Terraform asks a provider for its schema over gRPC and checks the configuration against it by itself. These answer that one
question, from the published schemas, say yes to every other, and can neither read nor make anything. They are handed
to terraform as already running (`TF_REATTACH_PROVIDERS`), which needs no binary and no registry.
"""

import concurrent.futures
import json
import os

import grpc

NESTING = {"single": 1, "list": 2, "set": 3}


def varint(number):
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes(out) + bytes([number])


def field(number, value):
    """One protobuf field: text, bytes, or a number."""
    if isinstance(value, str):
        value = value.encode()
    if isinstance(value, bytes):
        return varint(number << 3 | 2) + varint(len(value)) + value
    return varint(number << 3) + varint(int(value)) if value else b""


def block(schema):
    """`Schema.Block` of terraform's plugin protocol 5."""
    out = b""
    for name, attribute in sorted(schema["attributes"].items()):
        out += field(
            2,
            field(1, name)
            + field(2, json.dumps(attribute["type"]))
            + field(4, attribute["required"])
            + field(5, attribute["optional"])
            + field(6, attribute["computed"]),
        )
    for name, nested in sorted(schema["blocks"].items()):
        out += field(
            3,
            field(1, name)
            + field(2, block(nested["block"]))
            + field(3, NESTING[nested["nesting"]])
            + field(4, nested["min"])
            + field(5, nested["max"]),
        )
    return out


def schema_response(schema):
    """`GetProviderSchema.Response`."""
    out = field(1, field(2, block(schema["provider"])))
    for number, kinds in ((2, schema["resources"]), (3, schema["data"])):
        for name, kind in sorted(kinds.items()):
            out += field(number, field(1, name) + field(2, field(2, block(kind))))
    return out


class Handler(grpc.GenericRpcHandler):
    def __init__(self, schema):
        self.schema = schema_response(schema)

    def service(self, details):
        name = details.method.rsplit("/", 1)[1]
        if not details.method.startswith("/tfplugin5.Provider/"):
            return None
        answer = self.schema if name == "GetSchema" else b""
        return grpc.unary_unary_rpc_method_handler(lambda request, context: answer)


def serve(schemas, folder):
    """Serves each on a socket in the folder; returns the servers, and terraform's variable that says where they are."""
    servers, reattach = [], {}
    for name, schema in schemas.items():
        server = grpc.server(concurrent.futures.ThreadPoolExecutor(max_workers=2))
        server.add_generic_rpc_handlers((Handler(schema),))
        path = str(folder / f"{name}.sock")
        server.add_insecure_port(f"unix:{path}")
        server.start()
        servers.append(server)
        reattach[f"registry.terraform.io/hashicorp/{name}"] = {
            "Protocol": "grpc",
            "ProtocolVersion": 5,
            "Pid": os.getpid(),
            "Test": True,
            "Addr": {"Network": "unix", "String": path},
        }
    return servers, json.dumps(reattach)

"""What Kubernetes' functions take and give, for the checker of rules; how they run is told in the other modules.

Rules run without types, and with few message types (see ``messages``); here are all that Kubernetes has.
"""

from functools import cache
from typing import Any

_MESSAGES = {"net": ("CIDR", "IP"), "kubernetes": ("NamedFormat", "Quantity", "Semver", "URL")}
_COMPARABLE = ("int", "uint", "double", "bool", "duration", "timestamp", "string", "bytes")
_SUMMABLE = ("int", "uint", "double", "duration")
_FORMATS = (
    *("dns1123Label", "dns1123Subdomain", "dns1035Label", "qualifiedName"),
    *("dns1123LabelPrefix", "dns1123SubdomainPrefix", "dns1035LabelPrefix"),
    *("labelValue", "uri", "uuid", "byte", "date", "datetime"),
)
_SIGNATURES = """
isURL(string) bool
url(string) URL
URL.getEscapedPath() string
URL.getHost() string
URL.getHostname() string
URL.getPort() string
URL.getQuery() map
URL.getScheme() string
ip(string) IP
ip.isCanonical(string) bool
isIP(string) bool
string(IP) string
IP.family() int
IP.isGlobalUnicast() bool
IP.isLinkLocalMulticast() bool
IP.isLinkLocalUnicast() bool
IP.isLoopback() bool
IP.isUnspecified() bool
cidr(string) CIDR
isCIDR(string) bool
string(CIDR) string
CIDR.containsCIDR(CIDR) bool
CIDR.containsCIDR(string) bool
CIDR.containsIP(IP) bool
CIDR.containsIP(string) bool
CIDR.ip() IP
CIDR.masked() CIDR
CIDR.prefixLength() int
isQuantity(string) bool
quantity(string) Quantity
sign(Quantity) int
Quantity.add(Quantity) Quantity
Quantity.add(int) Quantity
Quantity.asApproximateFloat() double
Quantity.asInteger() int
Quantity.compareTo(Quantity) int
Quantity.isGreaterThan(Quantity) bool
Quantity.isInteger() bool
Quantity.isLessThan(Quantity) bool
Quantity.sub(Quantity) Quantity
Quantity.sub(int) Quantity
isSemver(string) bool
isSemver(string, bool) bool
semver(string) Semver
semver(string, bool) Semver
Semver.compareTo(Semver) int
Semver.isGreaterThan(Semver) bool
Semver.isLessThan(Semver) bool
Semver.major() int
Semver.minor() int
Semver.patch() int
format.named(string) dyn
NamedFormat.validate(string) dyn
string.find(string) string
string.findAll(string) strings
string.findAll(string, int) strings
list.indexOf(dyn) int
list.lastIndexOf(dyn) int
"""
"""``receiver.method(parameters) result``, where the receiver is a type. Optional values cannot be declared: ``dyn``."""


@cache
def file_descriptors() -> list[bytes]:
    """The message types of the signatures, as serialized FileDescriptorProtos."""
    from google.protobuf import descriptor_pb2

    files = []
    for package, names in _MESSAGES.items():
        file = descriptor_pb2.FileDescriptorProto(name=f"kcpcache/{package}.proto", package=package, syntax="proto3")
        for name in names:
            file.message_type.add(name=name)
        files.append(file.SerializeToString())
    return files


def extension() -> Any:
    """One CEL extension with all declarations; they cannot be called."""
    from cel_expr_python import cel

    kind = cel.Type
    types = {
        **{name: getattr(kind, name.upper()) for name in (*_COMPARABLE, "dyn")},
        **{name: kind(f"{package}.{name}") for package, names in _MESSAGES.items() for name in names},
        "list": kind.List(kind.DYN),
        "strings": kind.List(kind.STRING),
        "map": kind.Map(kind.STRING, kind.List(kind.STRING)),
    }
    overloads: dict[str, list[Any]] = {}

    def declare(name: str, result: Any, parameters: list[Any], *, member: bool) -> None:
        found = overloads.setdefault(name, [])
        found.append(cel.Overload(f"typed_{name}_{len(found)}", result, parameters, member))

    for line in _SIGNATURES.strip().splitlines():
        head, _, rest = line.partition("(")
        arguments, _, result = rest.partition(") ")
        parameters = [types[name] for name in arguments.split(", ") if name]
        receiver, dot, method = head.partition(".")
        member = bool(dot) and receiver in types
        if member:
            parameters.insert(0, types[receiver])
        declare(method if member else head, types[result], parameters, member=member)
    for name in _FORMATS:
        declare(f"format.{name}", types["NamedFormat"], [], member=False)
    for name in _COMPARABLE:
        items = kind.List(types[name])
        declare("isSorted", kind.BOOL, [items], member=True)
        for method in ("max", "min", "sum") if name in _SUMMABLE else ("max", "min"):
            declare(method, types[name], [items], member=True)
    return cel.CelExtension("signatures", [cel.FunctionDecl(name, found) for name, found in overloads.items()])

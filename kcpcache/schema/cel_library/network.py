"""``ip`` and ``cidr`` with their methods."""

import ipaddress
import re
from collections.abc import Callable
from typing import Any

from kcpcache.meta.go_values import go_quoted
from kcpcache.schema.cel_calls import called_by_cel
from kcpcache.schema.cel_library.addresses import address_error, network_error
from kcpcache.schema.cel_library.messages import cel_type, message

_MAX_IP_LENGTH = 64
_MAX_NETWORK_LENGTH = 128
_NETWORK_ERROR = "network address parse error during conversion from string: "
_BITS = re.compile(r"0|[1-9][0-9]{0,2}", re.ASCII)

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _address(text: str) -> _Address:
    if len(text) > _MAX_IP_LENGTH:
        raise ValueError("IP Address parse error: too long")
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        why = f"parse error during conversion from string: {address_error(text)}"
        raise ValueError(f'IP Address "{text}" {why}') from None
    if "%" in text:
        raise ValueError(f'IP address "{text}" with zone value is not allowed')
    if address.version == 6 and address.ipv4_mapped:  # noqa: PLR2004 - IPv6
        raise ValueError(f'IPv4-mapped IPv6 address "{text}" is not allowed')
    return address


def _interface(text: str) -> tuple[_Address, _Network]:
    address, slash, bits = text.rpartition("/")
    if len(text) > _MAX_NETWORK_LENGTH:
        raise ValueError(_NETWORK_ERROR + "too long")
    well_formed = slash and "%" not in address and _BITS.fullmatch(bits) is not None
    try:
        found = ipaddress.ip_address(address)
        network = ipaddress.ip_network(text if well_formed else "", strict=False)
    except ValueError:
        raise ValueError(f"{_NETWORK_ERROR}{_NETWORK_ERROR}{_network_reason(text, address, bool(slash))}") from None
    if found.version == 6 and found.ipv4_mapped:  # noqa: PLR2004 - IPv6
        raise ValueError(f'{_NETWORK_ERROR}IPv4-mapped IPv6 address "{text}" is not allowed')
    return found, network


def _network_reason(text: str, address: str, slashed: bool) -> str:
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return f"netip.ParsePrefix({go_quoted(text)}): {address_error(address)}" if slashed else network_error(text)
    return network_error(text)


def _succeeds(parse: Callable[[str], Any]) -> Callable[[str], bool]:
    def succeeded(text: str) -> bool:
        try:
            parse(text)
        except ValueError:
            return False
        return True

    return succeeded


def _canonical(text: str) -> bool:
    return str(_address(text)) == text


def _is_global_unicast(address: _Address) -> bool:
    return (
        not (address.is_multicast or address.is_unspecified or address.is_loopback or address.is_link_local)
        and str(address) != "255.255.255.255"
    )


def _contains_ip(network: Any, address: str) -> bool:
    try:
        found = _address(address)
    except ValueError:
        raise ValueError("no such overload") from None
    return found in _interface(network.text)[1]


def _contains_cidr(network: Any, inner: str) -> bool:
    ours, theirs = _interface(network.text)[1], _interface(inner)[1]
    return ours.version == theirs.version and theirs.subnet_of(ours)  # type: ignore[arg-type]


def functions(cel: Any) -> list[Any]:
    """The declarations, for ``CelExtension``."""
    kind = cel.Type
    # cel-cpp tells no two message types apart when it calls: what shares functions shares a type.
    network = cel_type(cel, "Network")
    text = kind.STRING
    names: dict[str, list[Any]] = {}

    def declare(name: str, result: Any, parameters: list[Any], impl: Any, *, member: bool = True) -> None:
        overloads = names.setdefault(name, [])
        label = f"kubernetes_{name.replace('.', '_')}_{len(overloads)}_{'member' if member else 'function'}"
        overloads.append(cel.Overload(label, result, parameters, member, impl=called_by_cel(impl)))

    # Addresses
    declare("ip", network, [text], lambda source: message("Network", str(_address(source))), member=False)
    declare("isIP", kind.BOOL, [text], _succeeds(_address), member=False)
    declare("ip.isCanonical", kind.BOOL, [text], _canonical, member=False)
    declare("family", kind.INT, [network], lambda value: _address(value.text).version)
    declare("isUnspecified", kind.BOOL, [network], lambda value: _address(value.text).is_unspecified)
    declare("isLoopback", kind.BOOL, [network], lambda value: _address(value.text).is_loopback)
    declare("isGlobalUnicast", kind.BOOL, [network], lambda value: _is_global_unicast(_address(value.text)))
    declare("isLinkLocalUnicast", kind.BOOL, [network], lambda value: _address(value.text).is_link_local)
    declare("isLinkLocalMulticast", kind.BOOL, [network], lambda value: _link_local_multicast(_address(value.text)))

    # Networks
    declare("cidr", network, [text], lambda source: message("Network", _cidr_text(source)), member=False)
    declare("isCIDR", kind.BOOL, [text], _succeeds(_interface), member=False)
    declare("prefixLength", kind.INT, [network], lambda value: _interface(value.text)[1].prefixlen)
    declare("ip", network, [network], lambda value: message("Network", str(_interface(value.text)[0])))
    declare("masked", network, [network], lambda value: message("Network", str(_interface(value.text)[1])))
    declare("containsIP", kind.BOOL, [network, text], _contains_ip)
    declare("containsIP", kind.BOOL, [network, network], lambda outer, inner: _contains_ip(outer, inner.text))
    declare("containsCIDR", kind.BOOL, [network, text], _contains_cidr)
    declare("containsCIDR", kind.BOOL, [network, network], lambda outer, inner: _contains_cidr(outer, inner.text))
    return [cel.FunctionDecl(name, overloads) for name, overloads in names.items()]


def _cidr_text(source: str) -> str:
    address, network = _interface(source)
    return f"{address}/{network.prefixlen}"


def _link_local_multicast(address: _Address) -> bool:
    block = "224.0.0.0/24" if address.version == 4 else "ff02::/16"  # noqa: PLR2004 - IPv4
    return address in ipaddress.ip_network(block)

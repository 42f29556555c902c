"""Who asks, as far as shares go: the name of its key; where no key is set, the address it comes from."""

from ipaddress import IPv6Address, ip_address

from starlette.types import Scope

from medasr_service.api.receipts import receipt_of

IPV6_PREFIX = 64  # bits: what one household or machine has of addresses


def client_of(scope: Scope) -> str:
    """The key's name: whoever has two of one name has one share."""
    if name := receipt_of(scope).name:
        return f"key {name}"  # no address looks like this
    client = scope.get("client")
    return network(client[0]) if client else ""


def address_of(scope: Scope) -> str:
    """For the log and the audit; empty where it is none: a proxy's header may say anything."""
    client = scope.get("client")
    try:
        return str(ip_address(client[0].partition("%")[0])) if client else ""
    except ValueError:
        return ""


def network(address: str) -> str:
    """The address; of IPv6 the network, since one machine has as many addresses there as it likes."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, IPv6Address) and not found.ipv4_mapped:
        return str(int(found) >> IPV6_PREFIX)
    return str(getattr(found, "ipv4_mapped", None) or found)

from acme_absent import JSON

from agentzero.plugins import Registry, hookimpl


@hookimpl
def agentzero_register_serializers(registry: Registry) -> None:
    registry.add("imports", JSON)

from agentzero.plugins import Registry, hookimpl


@hookimpl
def agentzero_register_serializers(registry: Registry) -> None:
    registry.add("requires", "acme_absent:JSON", requires="acme_absent", install="acme-absent")

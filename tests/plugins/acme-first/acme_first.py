from agentzero.plugins import Registry, hookimpl


@hookimpl
def agentzero_register_serializers(registry: Registry) -> None:
    registry.add("shared", "agentzero.serializers:JSON")
    registry.add("first", "agentzero.serializers:JSON")


@hookimpl
def agentzero_register_backends(registry: Registry) -> None:
    registry.add("shared", "agentzero.backends.threads:ThreadsBackend")

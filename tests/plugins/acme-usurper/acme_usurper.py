from agentzero.plugins import Registry, hookimpl


@hookimpl
def agentzero_register_serializers(registry: Registry) -> None:
    registry.add("json", "agentzero.serializers:MSGPACK")


@hookimpl
def agentzero_register_backends(registry: Registry) -> None:
    registry.add("threads", "agentzero.backends.asyncio:AsyncioBackend")

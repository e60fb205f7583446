"""AgentZero in YAML: `SocketManager(serialization_backend="yaml")`."""

from agentzero.plugins import Registry, hookimpl

__all__ = ["agentzero_register_serializers"]


@hookimpl
def agentzero_register_serializers(registry: Registry) -> None:
    """Bring the serializer "yaml"; its module is imported when somebody asks for it."""
    registry.add("yaml", f"{__name__}.serializer:YAML", requires="yaml", install="PyYAML")

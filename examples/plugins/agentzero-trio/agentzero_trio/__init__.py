"""AgentZero in the tasks of trio: `AsyncSocketManager(backend="trio")`."""

from agentzero.plugins import Registry, hookimpl

__all__ = ["agentzero_register_backends"]


@hookimpl
def agentzero_register_backends(registry: Registry) -> None:
    """Bring the backend "trio"; its module is imported when somebody asks for it."""
    registry.add("trio", f"{__name__}.backend:TrioBackend", requires="trio")

from agentzero.plugins import Registry, hookimpl


def needs(argument: str) -> object:
    return argument


def none() -> None: ...


@hookimpl
def agentzero_register_serializers(registry: Registry) -> None:
    registry.add("needs", needs)
    registry.add("none", none)


@hookimpl
def agentzero_register_backends(registry: Registry) -> None:
    registry.add("needs", needs)
    registry.add("none", none)

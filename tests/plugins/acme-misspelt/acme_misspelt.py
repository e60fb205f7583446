from agentzero.plugins import Registry, hookimpl


@hookimpl
def agentzero_register_serialisers(registry: Registry) -> None:
    registry.add("misspelt", dict)

from agentzero.serializers import JSON

__all__ = ["JSON"]

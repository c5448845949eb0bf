"""How a test kills a training in an iteration of its choice."""


class FailAt:
    """A counter attribute that interrupts when it reaches a value."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.values: dict[int, int] = {}

    def __get__(self, instance: object, owner: type) -> int:
        return self.values.get(id(instance), 0)

    def __set__(self, instance: object, value: int) -> None:
        if value >= self.limit:
            raise KeyboardInterrupt
        self.values[id(instance)] = value

"""The one rule of this client: whatever goes wrong in it, the shop does not notice."""

import functools
from typing import Any, Callable


def quiet(otherwise: Any = None) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Ends every exception of the function, wrong arguments included; `otherwise` is the answer then.

    Not `BaseException`: that a person or the system wants the process to end is not ours to swallow.
    """

    def wrap(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            try:
                return function(*args, **kwargs)
            except Exception:
                return otherwise

        return call

    return wrap

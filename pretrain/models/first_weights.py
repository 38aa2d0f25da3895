"""First weights of one module in a stack of layers, as GPT-2 draws them."""

from torch import nn


def draw_normal(name: str, part: nn.Module, std: float, layers: int) -> None:
    """Draw the weights of a Linear or an Embedding in place from normal(0, std); set its biases to 0.

    Args:
        name: of the module. The last matrix of each branch (``mixer.output``, ``mlp.down``) is smaller by sqrt(2 L).
        part: the module; others than Linear and Embedding are left alone.
        std: standard deviation.
        layers: L, each of which has two branches.
    """
    if isinstance(part, nn.Linear | nn.Embedding):
        ends_a_branch = name.endswith(("mixer.output", "mlp.down"))
        scale = (2 * layers) ** -0.5 if ends_a_branch else 1.0
        nn.init.normal_(part.weight, std=std * scale)
    if isinstance(part, nn.Linear) and part.bias is not None:
        nn.init.zeros_(part.bias)

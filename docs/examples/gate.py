"""The small module of the first look."""

import torch

import irsql


class Gate(torch.nn.Module):
    """A projection, clipped at zero and halved."""

    def __init__(self) -> None:
        super().__init__()
        self.up = torch.nn.Linear(8, 4, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.up(x)) * 0.5


if __name__ == "__main__":
    gate, x = Gate().eval(), torch.randn(3, 8)
    compiled = irsql.compile(gate, (x,), dynamic={"x": {0: "S"}})
    print(compiled.ir("rel"))
    print(compiled.sql)
    torch.testing.assert_close(torch.as_tensor(compiled(x)), gate(x).detach())

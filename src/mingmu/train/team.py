"""Several processes that train one network, each on its share of every batch: one for each GPU, or for some processors each.

They are started by torchrun, or by whatever else sets up torch.distributed. One process alone is a team of one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed, nn

from mingmu.core.errors import BadRequest, MingmuError

T = TypeVar("T")

PATIENCE = timedelta(hours=6)  # that the others have with the first, which reads, seals and measures alone


@dataclass(frozen=True)
class Team:
    """The processes that train together, as one of them sees it."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this is the one that writes, decides and tells."""
        return self.rank == 0

    @property
    def device(self) -> torch.device:
        """The GPU of this process, or the CPU. The processes of a machine take its GPUs by turns."""
        if not torch.cuda.is_available():
            return torch.device("cpu")
        return torch.device("cuda", self.rank % torch.cuda.device_count())

    def share(self, count: int) -> slice:
        """This process's rows of so many."""
        return slice(self.rank * count // self.size, (self.rank + 1) * count // self.size)

    def check_batch(self, size: int) -> None:
        """Raise BadRequest for a batch of which not everybody gets a photo."""
        if size < self.size:
            raise BadRequest(f"a batch of {size} photos has too few for {self.size} processes; change batch, or their number")

    def weight(self, count: int) -> float:
        """How much this process's mean counts, so that the mean over all is that of so many rows, also where shares differ by one."""
        return (self.share(count).stop - self.share(count).start) * self.size / count

    def told(self, make: Callable[[], T]) -> T:
        """What the first process makes, for all; the others wait for it. What it raises is raised in each."""
        if self.size == 1:
            return make()
        found: list[Any] = [None]
        if self.leads:
            try:
                found = [make()]
            except (MingmuError, OSError) as error:
                found = [error]
        distributed.broadcast_object_list(found, device=torch.device("cpu"))
        if isinstance(found[0], Exception):
            raise found[0]
        return found[0]

    def after_the_first(self, make: Callable[[], T]) -> T:
        """What each makes for itself, the others when the first is done, so that they find what it left on the disk."""
        own: list[T] = []
        self.told(lambda: own.append(make()))
        return own[0] if self.leads else make()

    def mean(self, values: Tensor) -> Tensor:
        """The mean of everybody's values; gradients go through it."""
        return values if self.size == 1 else _Sum.apply(values) / self.size

    def sum(self, values: Tensor) -> Tensor:
        """The sum of everybody's values, in their place."""
        if self.size > 1:
            distributed.all_reduce(values)
        return values

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Give all the mean of their gradients, in one message."""
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        if self.size == 1 or not gradients:
            return
        means = self.sum(torch.cat([gradient.flatten() for gradient in gradients])).div_(self.size)
        for gradient, mean in zip(gradients, means.split([gradient.numel() for gradient in gradients]), strict=True):
            gradient.copy_(mean.view_as(gradient))

    def begin_alike(self, *modules: nn.Module) -> None:
        """Give all the weights of the first, and batch normalisation over the whole batch."""
        if self.size == 1:
            return
        for module in modules:
            for tensor in module.state_dict().values():
                distributed.broadcast(tensor, 0)
            for layer in module.modules():
                if isinstance(layer, nn.BatchNorm2d):
                    layer.__class__ = SharedNorm


class _Sum(torch.autograd.Function):
    """A sum over all processes, through which gradients go: what each did to everybody's sum, everybody did to it."""

    @staticmethod
    def forward(_ctx: Any, values: Tensor) -> Tensor:
        total = values.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(_ctx: Any, gradients: Tensor) -> Tensor:
        total: Tensor = _Sum.apply(gradients)
        return total


def current() -> Team:
    """The team that this process is in."""
    if distributed.is_available() and distributed.is_initialized():
        return Team(distributed.get_rank(), distributed.get_world_size())
    return Team()


@contextmanager
def joined() -> Iterator[Team]:
    """For as long as it lasts, this process is in the team that torchrun started, if it did."""
    if not distributed.is_torchelastic_launched() or distributed.is_initialized():
        yield current()
        return
    distributed.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo", timeout=PATIENCE)
    try:
        yield current()
    finally:
        distributed.destroy_process_group()


class SharedNorm(nn.BatchNorm2d):
    """Batch normalisation over the whole batch, of which each process has a share."""

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor
    momentum: float

    def forward(self, x: Tensor) -> Tensor:
        found = self._over_all(x) if self.training else super().forward(x)
        for layer in self.children():  # timm has layers that normalise, drop and activate
            found = layer(found)
        return found

    def _over_all(self, x: Tensor) -> Tensor:
        team = current()
        variance, mean = torch.var_mean(x.float(), dim=(0, 2, 3), correction=0)
        places = torch.full_like(mean, x.numel() // x.shape[1])  # of which another process may have more
        own, squares, places = team.mean(torch.stack([places * mean, places * (variance + mean**2), places]))
        mean, square = own / places, squares / places
        variance = square - mean**2
        self._remember(mean.detach(), variance.detach(), team.size * places[0].detach())
        scale = self.weight * (variance + self.eps).rsqrt()
        return (x * scale.view(1, -1, 1, 1) + (self.bias - mean * scale).view(1, -1, 1, 1)).to(x.dtype)

    def _remember(self, mean: Tensor, variance: Tensor, count: Tensor) -> None:
        """Move the averages that serve, as batch normalisation does, with the unbiased variance."""
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * count / (count - 1), self.momentum)
        self.num_batches_tracked.add_(1)

"""Recurrent layers as legos: sequences in and out as (N, C, L)."""

from __future__ import annotations

from torch import Tensor, nn


class Recurrent(nn.Module):
    """Lets an LSTM, GRU or RNN take and give (N, C, L), as the legos around it do.

    y[:, :, t] = h_t, where h = rnn(x_1, ..., x_L)

    Args:
        rnn: an `nn.LSTM`, `nn.GRU` or `nn.RNN`; `batch_first` may be either.

    Shape:
        (N, input_size, L) -> (N, hidden_size, L); twice hidden_size when bidirectional, proj_size when projected.

    Source: the learned-connectivity notes of 2016, which count recurrent layers among the legos.

    Example:
        >>> import torch
        >>> Recurrent(nn.GRU(3, 5))(torch.ones(2, 3, 7)).shape
        torch.Size([2, 5, 7])
    """

    def __init__(self, rnn: nn.RNNBase) -> None:
        super().__init__()
        self.rnn = rnn

    def forward(self, x: Tensor) -> Tensor:
        if self.rnn.batch_first:
            return self.rnn(x.transpose(1, 2))[0].transpose(1, 2)
        return self.rnn(x.permute(2, 0, 1))[0].permute(1, 2, 0)

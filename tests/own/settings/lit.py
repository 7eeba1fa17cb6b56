"""A LightningModule with its LightningDataModule, as a user would have them."""

import pytorch_lightning as pl
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset


class Lit(pl.LightningModule):
    def __init__(self, features, outputs, width=8, lr=1e-2):
        super().__init__()
        self.rnn, self.head, self.lr = nn.LSTM(features, width, batch_first=True), nn.Linear(width, outputs), lr
        self.dropout = nn.Dropout(0.1)

    def forward(self, values):
        return self.head(self.dropout(self.rnn(values)[0][:, -1]))

    def training_step(self, batch, index):
        values, labels = batch
        return F.cross_entropy(self(values), labels)

    def validation_step(self, batch, index):
        values, labels = batch
        outputs = self(values)
        self.log("val_loss", F.cross_entropy(outputs, labels))
        self.log("val_acc", (outputs.argmax(1) == labels).float().mean())

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=self.lr)


class Loaded(pl.LightningDataModule):
    sizes = {"features": 2, "outputs": 2}

    def __init__(self, count=160, batch_size=16):
        super().__init__()
        self.count, self.batch_size = count, batch_size

    def setup(self, stage):
        generator = torch.Generator().manual_seed(0)
        values = torch.rand(2 * self.count, 5, 2, generator=generator)
        self.whole = TensorDataset(values, (values.sum((1, 2)) > 5).long())

    def part(self, start, end, **more):
        return DataLoader(torch.utils.data.Subset(self.whole, range(start, end)), self.batch_size, **more)

    def train_dataloader(self):
        return self.part(0, self.count, shuffle=True)

    def val_dataloader(self):
        return self.part(self.count, self.count + self.count // 2)

    def test_dataloader(self):
        return self.part(self.count + self.count // 2, 2 * self.count)

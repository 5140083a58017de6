"""RecTools' SASRec on the folder of export.py.

    python benchmarks/peers/rectools_sasrec.py DATA OUT.json --seed N [--epochs MAX] [--patience 10]

A Lightning callback measures after each epoch and stops the training. RecTools has no patience of its own; it gets
RecBole's.
"""

from __future__ import annotations

from importlib.metadata import version

import numpy as np
import pandas as pd
import torch
from common import TOP_K, Data, Ints, Scores, Training, arguments, histories, read, users_per_second, write
from pytorch_lightning import LightningModule, Trainer, seed_everything
from pytorch_lightning.callbacks import LambdaCallback
from rectools.columns import Columns
from rectools.dataset import Dataset
from rectools.models import SASRecModel

FACTORS, LENGTH = 64, 50


def main() -> None:
    asked = arguments(__doc__, epochs=300, patience=10).parse_args()
    data = read(asked.data)
    torch.set_num_threads(1)
    seed_everything(asked.seed)
    training = Training(data, asked.patience)

    # A function, since RecTools copies the trainer deeply before it trains, and only functions stay what they are.
    def after_epoch(trainer: Trainer, module: LightningModule) -> None:
        go_on = training.epoch(lambda: scores(module, data, data.train), lambda: scores(module, data, data.known))
        trainer.should_stop = not go_on

    def make_trainer() -> Trainer:
        """RecTools' own trainer, with the callback."""
        return Trainer(
            max_epochs=asked.epochs,
            callbacks=[LambdaCallback(on_train_epoch_end=after_epoch)],
            enable_progress_bar=False,
            enable_model_summary=False,
            enable_checkpointing=False,
            logger=False,
            accelerator="cpu",
            devices=1,
        )

    model = SASRecModel(n_factors=FACTORS, session_max_len=LENGTH, get_trainer_func=make_trainer)
    train = dataset(data.train, data.n_users)
    training.start()
    model.fit(train)
    known, everyone = dataset(data.known, data.n_users), np.arange(data.n_users)
    rate = users_per_second(lambda: model.recommend(everyone, known, k=TOP_K, filter_viewed=True), data.n_users)
    write(
        asked.out,
        peer=f"RecTools {version('rectools')} SASRec",
        settings=f"n_factors={FACTORS}, session_max_len={LENGTH}, patience {asked.patience} epochs",
        seed=asked.seed,
        training=training,
        chosen=training.best,
        users_per_s=rate,
    )


def dataset(rows: Ints, n_users: int) -> Dataset:
    """RecTools sorts by date: the place in the history becomes one."""
    places = np.concatenate([np.arange(len(items)) for items in histories(rows, n_users)])
    dates = pd.Timestamp("2000-01-01") + pd.to_timedelta(places, unit="s")
    columns = {Columns.User: rows[:, 0], Columns.Item: rows[:, 1], Columns.Weight: 1.0, Columns.Datetime: dates}
    return Dataset.construct(pd.DataFrame(columns))


@torch.no_grad()
def scores(module: LightningModule, data: Data, rows: Ints) -> Scores:
    """For everyone, when the model reads their items of `rows`; in the data folder's numbers."""
    model, preparator = module.torch_model, module.data_preparator
    known = preparator.get_known_item_ids().astype(np.int64)
    numbers = np.zeros(data.n_items, np.int64)
    numbers[known] = preparator.n_item_extra_tokens + np.arange(len(known))
    sessions = np.zeros((data.n_users, LENGTH), np.int64)
    for session, items in zip(sessions, histories(rows, data.n_users), strict=True):
        # Items that the model does not know are left out, as RecTools does.
        latest = numbers[items][numbers[items] > 0][-LENGTH:]
        session[LENGTH - len(latest) :] = latest
    training = model.training
    model.eval()
    items = model.item_model.get_all_embeddings()
    people = model.encode_sessions({"x": torch.from_numpy(sessions)}, items)[:, -1]
    found = (people @ items.T).numpy()
    model.train(training)
    return np.where(numbers > 0, found[:, numbers], -np.inf).astype(np.float32)


if __name__ == "__main__":
    main()

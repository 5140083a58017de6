"""RecBole's BPR, LightGCN or SASRec with its defaults, on the folder of export.py.

    python benchmarks/peers/recbole_models.py DATA OUT.json --seed N [--epochs MAX] [--patience 10] [--model LightGCN]

RecBole trains an epoch at a time and we measure in between: its own validating leaves seen items in the ranking of
sequential models. The patience is its default; with it LightGCN stops on a plateau that it would leave later. SASRec
takes minutes per epoch on one core.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
from pathlib import Path

import numpy as np
import recbole
import torch
from common import TOP_K, Data, Ints, Scores, Training, arguments, histories, read, users_per_second, write
from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.data.interaction import Interaction
from recbole.utils import ModelType, get_model, get_trainer, init_seed
from recbole.utils.case_study import full_sort_topk


def main() -> None:
    parser = arguments(__doc__, epochs=300, patience=10)
    parser.add_argument("--model", choices=["BPR", "LightGCN", "SASRec"], default="BPR")
    asked = parser.parse_args()
    out = asked.out.resolve()
    data = read(asked.data)
    torch.set_num_threads(1)
    # RecBole reads the command line too, and leaves folders of logs where it runs.
    del sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        training, rate = run(asked.model, data, asked.seed, asked.epochs, asked.patience)
    write(
        out,
        peer=f"RecBole {recbole.__version__} {asked.model}",
        settings=f"defaults, patience {asked.patience} epochs",
        seed=asked.seed,
        training=training,
        chosen=training.best,
        users_per_s=rate,
    )


def run(name: str, data: Data, seed: int, epochs: int, patience: int) -> tuple[Training, float]:
    """Train in the current folder. Returns the training and how many users a second RecBole recommends to."""
    write_interactions(data)
    config = Config(
        name,
        "ml",
        config_dict={
            "data_path": str(Path.cwd()),
            "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
            "eval_args": {"split": {"LS": "valid_and_test"}, "order": "TO", "group_by": "user", "mode": "full"},
            "train_neg_sample_args": None if name == "SASRec" else {"distribution": "uniform", "sample_num": 1},
            "seed": seed,
            "epochs": epochs,
            "use_gpu": False,
            "state": "ERROR",
        },
    )
    init_seed(seed, config["reproducibility"])
    train, _, test = data_preparation(config, create_dataset(config))
    init_seed(seed, config["reproducibility"])
    model = get_model(name)(config, train.dataset)
    trainer = get_trainer(config["MODEL_TYPE"], name)(config, model)
    scorer = Scorer(model, train.dataset, data, sequential=config["MODEL_TYPE"] == ModelType.SEQUENTIAL)
    training = Training(data, patience)
    training.start()
    for epoch in range(epochs):
        trainer._train_epoch(train, epoch)
        if not training.epoch(scorer.from_train, scorer.from_known if scorer.sequential else None):
            break
    everyone = scorer.users.numpy()
    return training, users_per_second(lambda: full_sort_topk(everyone, model, test, TOP_K), data.n_users)


def write_interactions(data: Data) -> None:
    """All parts in one file, `timestamp` being the place in the history: by it RecBole arrives at the same split."""
    Path("ml").mkdir()
    with Path("ml/ml.inter").open("w") as file:
        file.write("user_id:token\titem_id:token\ttimestamp:float\n")
        rows = np.concatenate([data.known, data.test])
        for user, items in enumerate(histories(rows[np.argsort(rows[:, 0], kind="stable")], data.n_users)):
            file.writelines(f"{user}\t{item}\t{place}\n" for place, item in enumerate(items.tolist()))


class Scorer:
    """A RecBole model's scores in the data folder's numbers."""

    def __init__(self, model: torch.nn.Module, dataset: object, data: Data, *, sequential: bool) -> None:
        self.model, self.data, self.sequential = model, data, sequential
        self.names = model.USER_ID, model.ITEM_SEQ if sequential else "", model.ITEM_SEQ_LEN if sequential else ""
        self.length = dataset.max_item_list_len if sequential else 0
        self.users = torch.tensor([dataset.token2id(dataset.uid_field, str(u)) for u in range(data.n_users)])
        numbers = dataset.field2token_id[dataset.iid_field]
        # Number 0 is RecBole's padding, and here also stands for items that nobody touched.
        self.items = np.array([numbers.get(str(item), 0) for item in range(data.n_items)])

    def from_train(self) -> Scores:
        return self._scores(self.data.train)

    def from_known(self) -> Scores:
        return self._scores(self.data.known)

    @torch.no_grad()
    def _scores(self, rows: Ints) -> Scores:
        user, sequence, length = self.names
        batch = {user: self.users}
        if self.sequential:
            latest = [torch.from_numpy(self.items[h[-self.length :]]) for h in histories(rows, self.data.n_users)]
            batch[sequence] = torch.zeros(len(latest), self.length, dtype=torch.int64)
            for place, items in zip(batch[sequence], latest, strict=True):
                place[: len(items)] = items
            batch[length] = torch.tensor([len(items) for items in latest])
        self.model.eval()
        found = self.model.full_sort_predict(Interaction(batch)).view(len(self.users), -1).numpy()
        return np.where(self.items > 0, found[:, self.items], -np.inf).astype(np.float32)


if __name__ == "__main__":
    main()

"""What commands are tried on."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A shop's own tables: orders, products, and what its recommender says."""
    folder = tmp_path / "tables"
    folder.mkdir()
    orders = ["customer,sku,when"]
    for customer in range(12):
        orders += [f"c{customer},p{(customer + step) % 8},{1_700_000_000 + step}" for step in range(5)]
    (folder / "orders.csv").write_text("\n".join(orders) + "\n")
    products = ["sku,title,shelf"] + [f'p{n},"Book {n}, the novel",{"crime" if n % 2 else "poetry"}' for n in range(8)]
    (folder / "products.csv").write_text("\n".join(products) + "\n")
    ours = ["customer,sku,score"] + [f"c{c},p{(c + 5) % 8},0.9\nc{c},p{(c + 6) % 8},0.5" for c in range(12)]
    (folder / "ours.csv").write_text("\n".join(ours) + "\n")
    return folder

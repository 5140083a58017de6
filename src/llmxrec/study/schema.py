"""The tables of a study. One study lies in one database."""

from __future__ import annotations

import sqlalchemy as sa

meta = sa.MetaData()

study = sa.Table(
    "study",
    meta,
    sa.Column("id", sa.Integer, sa.CheckConstraint("id = 1"), primary_key=True, autoincrement=False),
    sa.Column("design", sa.Text, nullable=False),
    sa.Column("domain", sa.Text, nullable=False),
    sa.Column("gold", sa.Text, nullable=False),
    sa.Column("state", sa.Text, sa.CheckConstraint("state IN ('open', 'paused', 'closed')"), nullable=False),
    sa.Column("places", sa.Integer, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("unblinded_at", sa.Double),
    sa.Column("unblinded_by", sa.Text),
)
event = sa.Table(
    "event",
    meta,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("who", sa.Text, nullable=False),
    sa.Column("what", sa.Text, nullable=False),
)
rater = sa.Table(
    "rater",
    meta,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, sa.CheckConstraint("kind IN ('third-party', 'self')"), nullable=False),
    sa.Column("token_hash", sa.Text, nullable=False, unique=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("user_id", sa.Text),
    sa.Column("invited_at", sa.Double, nullable=False),
    sa.Column("expires_at", sa.Double),
    sa.Column("excluded_reason", sa.Text),
)
row = sa.Table(
    "row",
    meta,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("user_id", sa.Text, nullable=False),
    sa.Column("item_id", sa.Text, nullable=False),
    sa.Column("instruction", sa.Text, nullable=False),
    sa.Column("self_only", sa.Boolean, nullable=False),
    sa.UniqueConstraint("user_id", "item_id"),
)
explanation = sa.Table(
    "explanation",
    meta,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("row", sa.ForeignKey("row.id"), nullable=False),
    sa.Column("generator", sa.Text, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.UniqueConstraint("row", "generator"),
)
cell = sa.Table(
    "cell",
    meta,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("row", sa.ForeignKey("row.id"), nullable=False),
    sa.Column("label", sa.Text, nullable=False),
    sa.Column("first", sa.ForeignKey("explanation.id"), nullable=False),
    sa.Column("second", sa.ForeignKey("explanation.id")),
    sa.Column("place", sa.Integer, nullable=False, unique=True),
    sa.Column("quota", sa.Integer, nullable=False),
    sa.Column("taken", sa.Integer, nullable=False),
    # What makes quotas exact, whatever runs at once: ratings that count, and places held for raters.
    sa.CheckConstraint("0 <= taken AND taken <= quota"),
    sa.Index("cell_need", "quota", "taken", "label", "place"),
    sa.Index("cell_row", "row"),
)
task = sa.Table(
    "task",
    meta,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("rater", sa.ForeignKey("rater.id"), nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("kind", sa.Text, sa.CheckConstraint("kind IN ('rate', 'compare')"), nullable=False),
    sa.Column("purpose", sa.Text, sa.CheckConstraint("purpose IN ('cell', 'gold', 'attention')"), nullable=False),
    sa.Column("row", sa.ForeignKey("row.id")),
    sa.Column("cell", sa.ForeignKey("cell.id")),
    sa.Column("first", sa.ForeignKey("explanation.id")),
    sa.Column("second", sa.ForeignKey("explanation.id")),
    sa.Column("check", sa.Text),
    sa.Column("holds", sa.Boolean, nullable=False),
    sa.Column("state", sa.Text, sa.CheckConstraint("state IN ('open', 'expired', 'done')"), nullable=False),
    sa.Column("shown_at", sa.Double, nullable=False),
    sa.Column("reserved_until", sa.Double, nullable=False),
    sa.UniqueConstraint("rater", "number"),
    sa.UniqueConstraint("rater", "cell"),
    sa.Index("task_cell", "cell"),
    sa.Index("task_open", "state", "reserved_until"),
)
rating = sa.Table(
    "rating",
    meta,
    sa.Column("task", sa.ForeignKey("task.id"), primary_key=True),
    *(
        sa.Column(scale, sa.Integer, sa.CheckConstraint(f"{scale} BETWEEN 1 AND 10"))
        for scale in ("reasonability", "attractiveness", "redundancy")
    ),
    sa.Column("winner", sa.Text, sa.CheckConstraint("winner IN ('first', 'second', 'tie')")),
    sa.Column("comment", sa.Text, nullable=False),
    sa.Column("passed", sa.Boolean),
    sa.Column("left_out", sa.Text),
    sa.Column("stored_at", sa.Double, nullable=False),
    sa.Column("seconds", sa.Double, nullable=False),
    sa.CheckConstraint("(winner IS NULL) = (reasonability IS NOT NULL)"),
)

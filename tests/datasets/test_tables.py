"""Anyone's own tables, in every kind of file."""

from __future__ import annotations

import codecs
import gzip
import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from tests.datasets.promises import keeps_promises

from llmxrec.datasets.columns import ALIASES, as_microseconds, as_text, find, whole_seconds
from llmxrec.datasets.dataset import Dataset, ReadReport
from llmxrec.datasets.domains import load_domain, save_domain
from llmxrec.datasets.split import leave_one_out
from llmxrec.datasets.tablefiles import read_table
from llmxrec.datasets.tables import read_tables
from llmxrec.datasets.textfiles import LINE
from llmxrec.errors import InputError

ITEMS = load_domain("items")
ROWS = pl.DataFrame(
    {
        "customer": ["ann", "bob", "ann", "bob"],
        "sku": ["p1", "p1", "p2", "p3"],
        "day": ["2024-01-01", "2024-01-02T00:00:00Z", "1704240000", "never"],
        "stars": ["5", "", "3.5", "1"],
    }
)
DAY = 86_400
NEW_YEAR = 1_704_067_200  # 2024-01-01


def write(file: Path, table: pl.DataFrame) -> Path:
    name = file.name.removesuffix(".gz")
    if name.endswith(".parquet"):
        table.write_parquet(file)
        return file
    if name.endswith(".jsonl"):
        text = "".join(json.dumps(row) + "\n" for row in table.to_dicts())
    else:
        text = table.write_csv(separator="\t" if name.endswith(".tsv") else ",", quote_style="necessary")
    file.write_bytes(gzip.compress(text.encode()) if file.suffix == ".gz" else text.encode())
    return file


def read(
    interactions: Path, items: Path | None = None, users: Path | None = None, **columns: str
) -> tuple[Dataset, ReadReport]:
    dataset, report = read_tables(interactions, items, users, ITEMS, columns)
    assert keeps_promises(dataset)
    return dataset, report


@pytest.mark.parametrize("kind", [".csv", ".tsv", ".jsonl", ".parquet", ".csv.gz", ".tsv.gz", ".jsonl.gz"])
def test_every_kind_of_file_reads_the_same(tmp_path: Path, kind: str) -> None:
    dataset, report = read(write(tmp_path / f"sales{kind}", ROWS), timestamp="day")
    assert dataset.interactions.rows() == [
        ("ann", "p1", NEW_YEAR, 5.0),
        ("bob", "p1", NEW_YEAR + DAY, None),
        ("ann", "p2", NEW_YEAR + 2 * DAY, 3.5),
        ("bob", "p3", None, 1.0),
    ]
    assert dataset.items.rows() == [("p1", "p1"), ("p2", "p2"), ("p3", "p3")]
    assert report.notes["times that could not be read, kept undated"] == 1
    assert report.notes["items without a title, named by their id"] == 3
    assert dataset.domain == ITEMS


@pytest.mark.parametrize("quoted", [False, True])
@pytest.mark.parametrize(("kind", "separator"), [("csv", ","), ("tsv", "\t")])
def test_csv_with_and_without_quotes(tmp_path: Path, quoted: bool, kind: str, separator: str) -> None:
    file = tmp_path / f"a.{kind}"
    text = 'user,item,title\n1,"a, b","She said ""no""\nand left"\n\n2,c,d\n' if quoted else "user,item\n1,a\n\n2,c\n"
    file.write_text(text.replace(", ", "; ").replace(",", separator).replace("; ", f"{separator} "))
    table = read_table(file)
    assert table["item"].to_list() == ([f"a{separator} b", "c"] if quoted else ["a", "c"])
    assert table[LINE].to_list() == ([3, 5] if quoted else [2, 4])  # where each row ends
    if quoted:
        assert table["title"][0] == 'She said "no"\nand left'


@pytest.mark.parametrize(
    ("header", "columns"),
    [
        ("user;item", ["user", "item"]),
        ("user\titem", ["user", "item"]),
        ("user|item", ["user", "item"]),
        ("user,item;id", ["user", "item;id"]),
        ('"a;b;c",user', ["a;b;c", "user"]),
        ("user", ["user"]),
    ],
)
def test_csv_says_itself_what_separates_it(tmp_path: Path, header: str, columns: list[str]) -> None:
    (tmp_path / "a.csv").write_text(header + "\n")
    assert read_table(tmp_path / "a.csv").columns == [LINE, *columns]


def test_the_first_column_that_pandas_writes_without_a_name_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(",user_id,item_id\n0,a,b\n1,a,c\n")
    assert read_table(tmp_path / "a.csv").columns == [LINE, "user_id", "item_id"]


def test_a_byte_order_mark_and_windows_line_ends(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbfuserId,movieId\r\n1,2\r\n1,3")
    assert read(tmp_path / "a.csv")[0].interactions.rows() == [("1", "2", None, None), ("1", "3", None, None)]


def test_items_and_users_with_their_attributes(tmp_path: Path) -> None:
    sales = write(tmp_path / "sales.csv", ROWS)
    items = write(
        tmp_path / "items.parquet",
        pl.DataFrame(
            {
                "SKU": ["p1", "p2", "p3", "p1"],
                "Product Name": ["Red\tpen ", "Ink", None, "again"],
                "colour": ["red|blue", "blue", None, "x"],
                "maker": [["Ed", "Al"], [], None, ["x"]],
                "price ($)": [1.5, 2.0, None, 0.0],
                "weight": [3.0, 4.0, None, 0.0],
                "page": ["https://shop/1", "https://shop/2", None, "http://x"],
                "story": ["word " * 60, "word " * 60, None, "x"],
                "photo": [b"1", b"2", None, b"x"],
                "empty": [None, None, None, None],
            },
            schema_overrides={"empty": pl.String},
        ),
    )
    users = write(
        tmp_path / "users.csv",
        pl.DataFrame({"customer": ["ann", "zoe"], "city": ["Rome", "Ghent"], "contact": ["a@b.org", "z@b.org"]}),
    )
    dataset, report = read(sales, items, users)
    assert dataset.items.columns == [
        *("item_id", "title", "colour", "maker", "price ($)", "weight", "page", "story", "empty")
    ]
    assert dataset.items.select("item_id", "title", "colour", "maker", "price ($)", "weight").rows() == [
        ("p1", "Red pen", ["red", "blue"], ["Ed", "Al"], "1.5", "3"),
        ("p2", "Ink", ["blue"], [], "2.0", "4"),
        ("p3", "p3", [], [], None, None),
    ]
    assert dataset.domain.item_attributes == {
        "colour": "colour",
        "maker": "maker",
        "price ($)": "price",
        "weight": "weight",
    }
    assert dataset.domain.user_attributes == {}
    save_domain(dataset.domain, tmp_path / "domain.toml")
    assert load_domain(tmp_path / "domain.toml") == dataset.domain
    assert dataset.users.rows() == [("ann", "Rome", "a@b.org"), ("zoe", "Ghent", "z@b.org"), ("bob", None, None)]
    assert report.dropped["repeats of an item"] == 1
    assert report.notes["item columns that hold no text or numbers, left out"] == 1
    assert report.notes["users who interacted and are not described"] == 1


USERS = "user,age,phone,home town,home.town,?\nu,30,555,Rome,Ghent,x\n"


@pytest.mark.parametrize(
    ("domain", "shown", "labels"),
    [
        ("items", [], {}),
        ("movies", [], {"age": "age", "gender": "gender", "occupation": "occupation"}),
        ("items", ["home.town", "age"], {"home.town": "home town", "age": "age"}),
        ("movies", ["age", "home town"], {**load_domain("movies").user_attributes, "home town": "home town"}),
    ],
)
def test_of_users_only_what_was_asked_for_is_shown(
    tmp_path: Path, domain: str, shown: list[str], labels: dict[str, str]
) -> None:
    (tmp_path / "a.csv").write_text("user,item\nu,x\n")
    (tmp_path / "u.csv").write_text(USERS)
    for words in (load_domain(domain), replace(load_domain(domain), field="own")):
        dataset, _ = read_tables(tmp_path / "a.csv", None, tmp_path / "u.csv", words, {}, shown)
        assert dataset.domain.user_attributes == labels
        assert dataset.users.columns == ["user_id", "age", "phone", "home town", "home.town", "?"]
        attributes = dataset.user_records(["u"])[0].attributes
        assert set(attributes) == set(labels) & {"age", "home town", "home.town"}


@pytest.mark.parametrize(
    ("shown", "message"),
    [
        (["aeg"], "unknown column of users 'aeg'; did you mean 'age'? Known: ?, age, home town, home.town, phone"),
        (["user_id"], "unknown column of users 'user_id'"),
        (["?"], "a column that is shown has letters or digits for a name, and not those of another; found '?'; rename"),
        (["home town", "home.town"], "and not those of another; found 'home.town'; rename it"),
    ],
)
def test_columns_of_users_that_cannot_be_shown(tmp_path: Path, shown: list[str], message: str) -> None:
    (tmp_path / "a.csv").write_text("user,item\nu,x\n")
    (tmp_path / "u.csv").write_text(USERS)
    with pytest.raises(InputError) as caught:
        read_tables(tmp_path / "a.csv", None, tmp_path / "u.csv", ITEMS, {}, shown)
    assert message in str(caught.value)
    with pytest.raises(InputError, match="a table of users has the columns of users to show; found 'age'"):
        read_tables(tmp_path / "a.csv", None, None, ITEMS, {}, ["age"])


def test_labels_differ_even_where_names_look_alike(tmp_path: Path) -> None:
    (tmp_path / "i.csv").write_text("item,a.b,a b,A b,?\nx,1,2,3,4\n")
    (tmp_path / "a.csv").write_text("user,item\nu,x\n")
    dataset, _ = read(tmp_path / "a.csv", tmp_path / "i.csv")
    assert dataset.domain.item_attributes == {"a.b": "a b", "A b": "A b"}


def test_a_domain_of_ones_own_says_itself_what_is_shown(tmp_path: Path) -> None:
    (tmp_path / "i.csv").write_text("item,margin,colour\nx,9,red\n")
    (tmp_path / "a.csv").write_text("user,item\nu,x\n")
    (tmp_path / "d.toml").write_text(
        'name="pens"\nfield="pens"\nitem="pen"\nitems="pens"\nverb="buy"\nverb_past="bought"\n'
        '[item_attributes]\ncolour="colour"\n'
    )
    dataset, _ = read_tables(tmp_path / "a.csv", tmp_path / "i.csv", None, load_domain(tmp_path / "d.toml"), {})
    assert dataset.items.columns == ["item_id", "title", "margin", "colour"]
    assert dataset.domain.item_attributes == {"colour": "colour"}


def test_films_get_their_display_titles(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text("userId,movieId,rating,timestamp\n1,10,4.0,964982703\n")
    (tmp_path / "m.csv").write_text(
        'movieId,title,genres\n10,"Net, The (1995)",Action|Crime\n11,Nothing Here,(no genres listed)\n'
    )
    dataset, report = read_tables(tmp_path / "r.csv", tmp_path / "m.csv", None, load_domain("movies"), {})
    assert keeps_promises(dataset)
    assert dataset.items.rows() == [
        ("10", "The Net", "Net, The (1995)", ["Action", "Crime"], "1995"),
        ("11", "Nothing Here", "Nothing Here", [], None),
    ]
    assert dataset.domain == load_domain("movies")
    assert report.notes["films whose genre is given as unknown"] == 1


def test_columns_by_mapping_name_and_alias() -> None:
    assert find("user_id", ["customer", "user_id"], {}) == "user_id"
    assert find("user_id", ["customer", "user_id"], {"user_id": "customer"}) == "customer"
    assert find("user_id", ["userId", "item"], {"user_id": "elsewhere"}) == "userId"
    assert find("user_id", ["User ID", "item"], {}) == "User ID"
    assert find("timestamp", ["x"], {}) is None
    for name, aliases in ALIASES.items():
        for alias in aliases:
            assert find(name, ["x", alias.title()], {}) == alias.title()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", "a.csv: the file is empty"),
        ("a.jsonl", b"\n", "a.jsonl: the file is empty"),
        ("a.csv", b"\n\n", "a.csv: a table has columns"),
        ("a.xlsx", b"", "a.xlsx: a table is a file of one of these kinds; .csv, .tsv, .jsonl"),
        ("a.csv", b"who,what\n1,2\n", "a.csv: a column holds the user_id; found 'who, what'; say which: --column "),
        ("a.csv", b"user,what\n1,2\n", "a.csv: a column holds the item_id"),
        ("a.csv", b"user,user\n1,2\n", "a.csv, line 1: columns have different names; found 'user'; rename one"),
        ("a.csv", b"user,item\n1,2\n1,2,3\n", "a.csv, line 3: every line has 2 fields; found 3; mend that line"),
        ("a.csv", b'user,item\n1,"2\n"\n1\n', "a.csv, line 4: every line has 2 fields; found 1; mend that line"),
        ("a.csv", b'user,item\n1,"2"x\n', "a.csv, line 2: quotes open and close a field, and are"),
        ("a.csv", b'user,item\n1,"2\n', "doubled inside: unexpected end of data"),
        ("a.csv", b"user,item\n1,\xff\n", r"a.csv, line 2: text is utf-8; found b'\xff'; save it as UTF-8"),
        ("a.csv", b"user,item\n1,2\n\0", "a.csv, line 3: a text file holds no NUL bytes"),
        ("a.csv", b"user,item,rating\n1,2,\n1,3,good\n", "a.csv, line 3: 'rating' is a number; found 'good'"),
        ("a.csv", b"user;item;rating\n1;2;\n1;3;good\n", "a.csv, line 3: 'rating' is a number; found 'good'"),
        (
            "a.csv",
            b"user;item;rating\n1;2;\n1;3;4,5\n",
            "a.csv, line 3: 'rating' is a number; found '4,5'; write decimals with a point",
        ),
        ("a.csv", b"user\titem\n1\t2\n1,3\n", "a.csv, line 3: every line has 2 fields; found 1"),
        ("a.csv", b'user;item\n1;"2"\n\n1\n', "a.csv, line 4: every line has 2 fields; found 1"),
        ("a.csv", "user,item\n1,2\n".encode("utf-16"), "a.csv: the file is UTF-16; save it as UTF-8"),
        ("a.jsonl", codecs.BOM_UTF16_BE + '{"a": 1}'.encode("utf-16-be"), "a.jsonl: the file is UTF-16"),
        ("a.csv", b"user,item\n", "a.csv: no interaction is left"),
        ("a.csv", b"user,item\n,2\n3,\n", "no interaction is left; found 'read 2 interactions; dropped 2 inter"),
        ("a.tsv", b"user\titem\n1\n", "a.tsv, line 2: every line has 2 fields; found 1"),
        ("a.jsonl", b'{"user": 1}\n[]', "a.jsonl, line 2: every line is one JSON object; found '[]'"),
        ("a.jsonl", b'{"user": 1, "item": {"id": 2}}', "a.jsonl, line 1: a value is text, a number, true, false, null"),
        ("a.jsonl", b'{"user": "\\ud800", "item": 1}', "a.jsonl, line 1: a value is text"),
        ("a.parquet", b"PAR1 and nothing", "a.parquet: the file is no Parquet table"),
        ("a.csv.gz", b"user,item\n1,2\n", "a.csv.gz: the file is damaged or cut short"),
    ],
)
def test_a_broken_file_is_named_with_its_line(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_tables(tmp_path / name, None, None, ITEMS, {})
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl", "a.parquet"])
def test_a_missing_file_and_a_folder_in_its_place(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=f"{name}: .*does not exist"):
        read_tables(tmp_path / name, None, None, ITEMS, {})
    (tmp_path / name).mkdir()
    with pytest.raises(InputError, match=f"{name}: .*folder"):
        read_tables(tmp_path / name, None, None, ITEMS, {})


def test_a_column_that_no_file_has(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'title=naem' names a column that is there; found 'naem'; one of: customer"):
        read(write(tmp_path / "a.csv", ROWS), title="naem")


def test_ids_of_parquet_are_as_the_source_spells_them(tmp_path: Path) -> None:
    table = pl.DataFrame({"user": [1.0, 2.0, None], "item": [7, 8, 9], "time": [datetime(2024, 1, 1)] * 3})
    dataset, report = read(write(tmp_path / "a.parquet", table))
    assert dataset.interactions.rows() == [("1", "7", NEW_YEAR, None), ("2", "8", NEW_YEAR, None)]
    assert report.dropped["interactions without a user or an item"] == 1
    bad = write(tmp_path / "b.parquet", pl.DataFrame({"user": [[1]], "item": [7]}))
    with pytest.raises(InputError, match=r"ids are text or whole numbers; found 'List\(Int64\)'"):
        read(bad)


def test_white_space_is_no_part_of_an_id(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("user,item\n ann,p1\t\nann,p1\n  ,p1\nbob, \n")
    (tmp_path / "i.csv").write_text("item,title\np1 ,Pen\n ,Nothing\n")
    dataset, report = read(tmp_path / "a.csv", tmp_path / "i.csv")
    assert dataset.interactions.select("user_id", "item_id").rows() == [("ann", "p1")]
    assert dataset.items.rows() == [("p1", "Pen")]
    assert report.dropped["interactions without a user or an item"] == 2
    assert report.dropped["items without an id"] == 1


def test_durations_are_neither_text_nor_numbers(tmp_path: Path) -> None:
    actions = write(tmp_path / "a.parquet", pl.DataFrame({"user": ["u"], "item": ["x"]}))
    lasting = pl.DataFrame({"item": ["x"], "title": ["Film"], "length": [timedelta(hours=2)], "all": [[timedelta(1)]]})
    dataset, report = read(actions, write(tmp_path / "i.parquet", lasting))
    assert dataset.items.columns == ["item_id", "title"]
    assert report.notes["item columns that hold no text or numbers, left out"] == 2
    bad = write(tmp_path / "b.parquet", pl.DataFrame({"user": ["u"], "item": [timedelta(1)]}))
    with pytest.raises(InputError, match=r"ids are text or whole numbers; found .Duration"):
        read(bad)


def test_ids_with_a_real_fraction_keep_it() -> None:
    assert as_text(pl.Series([1.5, float("nan"), 2.0])).to_list() == ["1.5", None, "2.0"]
    assert as_text(pl.Series([1.0, float("nan"), 2.0])).to_list() == ["1", None, "2"]


@pytest.mark.parametrize(
    "values",
    [
        [NEW_YEAR, None],
        [NEW_YEAR * 1000, None],
        [NEW_YEAR * 10**6 + 999, None],
        [NEW_YEAR * 10**9, None],
        [float(NEW_YEAR) + 0.5, None],
        [str(NEW_YEAR), ""],
        ["2024-01-01", " "],
        ["2024-01-01 00:00", None],
        ["2024-01-01T00:00:00.123Z", None],
        ["2024-01-01T02:00:00+02:00", None],
        ["2023-12-31 19:00:00 -0500", None],
        [datetime(2024, 1, 1), None],
        [datetime(2024, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))), None],
        [date(2024, 1, 1), None],
    ],
)
def test_times_of_every_kind(values: list[object]) -> None:
    exact, unread = as_microseconds(pl.Series(values))
    assert whole_seconds(exact).to_list() == [NEW_YEAR, None] and unread == 0


visible = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=12)


@given(st.lists(st.none() | visible | st.text("0123456789-:TZ .+e", max_size=25)))
def test_times_are_read_or_counted(values: list[str | None]) -> None:
    exact, unread = as_microseconds(pl.Series("t", values, dtype=pl.String))
    filled = sum(value is not None and bool(value.strip()) for value in values)
    assert exact.dtype == pl.Int64
    assert filled == unread + len(exact.drop_nulls())


@given(st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)))
def test_times_agree_with_python(moment: datetime) -> None:
    exact = as_microseconds(pl.Series([moment.isoformat()]))[0]
    assert exact.item() == (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    assert whole_seconds(exact).item() == int(moment.timestamp())


@pytest.mark.parametrize(
    "times",
    [
        [NEW_YEAR * 1000 + 900, NEW_YEAR * 1000 + 500, NEW_YEAR * 1000 + 100, None],
        ["2024-01-01T00:00:00.9Z", "2024-01-01T00:00:00.5Z", "2024-01-01T00:00:00.1Z", None],
        [datetime(2024, 1, 1, 0, 0, 0, n) for n in (3, 2, 1)] + [None],
        [NEW_YEAR + 0.9, NEW_YEAR + 0.5, NEW_YEAR + 0.1, None],
    ],
)
def test_within_a_second_the_exact_time_decides(tmp_path: Path, times: list[object]) -> None:
    table = pl.DataFrame({"user": ["u"] * 4, "item": ["last", "middle", "first", "undated"], "time": times})
    dataset, _ = read(write(tmp_path / "a.parquet", table.with_columns(rating=pl.Series([4, 3, 2, 1]))))
    assert dataset.interactions.rows() == [
        ("u", "undated", None, 1.0),
        ("u", "first", NEW_YEAR, 2.0),
        ("u", "middle", NEW_YEAR, 3.0),
        ("u", "last", NEW_YEAR, 4.0),
    ]
    assert leave_one_out(dataset).test["item_id"].to_list() == ["last"]


def test_whole_seconds_leave_the_order_of_the_table(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f"user,item,time\nu,b,{NEW_YEAR}000\nu,a,{NEW_YEAR - 1}000\n")
    assert read(tmp_path / "a.csv")[0].interactions["item_id"].to_list() == ["b", "a"]


@given(st.lists(st.tuples(*[st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0\r"))] * 2)))
def test_what_polars_writes_as_csv_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]
) -> None:
    table = pl.DataFrame(rows, schema={"a": pl.String, "b": pl.String}, orient="row")
    file = tmp_path_factory.mktemp("csv") / "a.csv"
    table.write_csv(file, quote_style="always")
    assert_frame_equal(read_table(file).drop(LINE), table)

"""The mappings that come with coachbook, on files as the systems write them."""

from __future__ import annotations

import csv
import zipfile
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from coachbook import sources
from coachbook.errors import NotFound
from coachbook.model.tables import TABLES
from coachbook.settings import Settings, Workspace
from coachbook.sources import Accounting
from coachbook.sources.intakes import preset_file
from coachbook.sources.mapping import Mapping
from coachbook.warehouse import Snapshots
from tests.desk import balances

DATA = Path(__file__).parent / "data"
DAY = "2026-10-09"


def loaded(folder: Path, path: Path, preset: str, **settings: Any) -> tuple[Workspace, Accounting]:
    workspace = Workspace.init(folder / "workspace", settings=Settings(**settings))
    accounting = sources.import_paths(workspace, [path], preset=preset, as_of=DAY)
    balances(accounting)
    return workspace, accounting


def rows(workspace: Workspace, sql: str) -> list[tuple[Any, ...]]:
    with Snapshots(workspace.store).current().connect() as connection:
        return connection.execute(sql).fetchall()


def raw(path: Path, encoding: str = "utf-8-sig") -> list[dict[str, str]]:
    with path.open(encoding=encoding, newline="") as file:
        return list(csv.DictReader(file))


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text.replace(" ", "T", 1)[:19].ljust(19, "0"))


@pytest.mark.parametrize("name", sources.presets())
def test_a_preset_is_a_mapping_that_can_be_read(name: str) -> None:
    assert any(Mapping.read(preset_file(name)).sources())


def test_the_presets_there_are() -> None:
    assert set(sources.presets()) >= {
        "generic",
        "regional_sales",
        "salesforce",
        "hubspot",
        "fxiaoke",
        "xiaoshouyi",
    }
    with pytest.raises(NotFound, match="hubspot"):
        preset_file("hubspott")


def test_generic_fills_every_table(tmp_path: Path) -> None:
    values = {
        "role": "rep", "presence": "active", "ramp": "0.5", "status": "open", "field": "stage", "kind": "call", "holder": "org",
        "period": "2026-Q3", "basis": "collected", "rate": "7.1", "share": "0.5", "currency": "USD", "into": "CNY", "held": "true", "checked_in": "false",
    }  # fmt: skip
    special = {"splits": {"kind": "revenue"}, "costs": {"kind": "goods"}}
    folder = tmp_path / "files"
    folder.mkdir()
    for name, table in TABLES.items():
        with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            header = [column.name.removesuffix("_minor") for column in table.columns]
            writer.writerow(header)
            writer.writerow(
                (values | special.get(name, {})).get(key)
                or ("2026-01-02" if key.endswith(("_on", "_at")) else "12")
                for key in header
            )
    workspace, accounting = loaded(tmp_path, folder, "generic")
    assert [(a.table, a.loaded) for a in accounting.files] == [(name, 1) for name in TABLES]
    for name, table in TABLES.items():
        [row] = rows(
            workspace,
            f"SELECT {', '.join(map(chr(34).__add__, [c + chr(34) for c in table.names]))} FROM {name}",
        )
        assert None not in row, name


def test_salesforce_objects(tmp_path: Path) -> None:
    folder = DATA / "salesforce"
    workspace, accounting = loaded(tmp_path, folder, "salesforce")
    assert accounting.quarantined == 0
    assert set(accounting.unread) == {
        "sf_account_history_data.csv",
        "sf_contact_history_data.csv",
        "sf_order_data.csv",
    }
    history = raw(folder / "sf_opportunity_history_data.csv")
    told = {
        (deal, field, at): new
        for deal, field, at, new in rows(
            workspace, 'SELECT deal_id, field, occurred_at, "new" FROM deal_events'
        )
    }
    for row in history:
        at = instant(row["_fivetran_start"])
        assert told[row["id"], "stage", at] == row["stage_name"]
        assert told[row["id"], "amount", at] == (f"{row['amount']}00" if row["amount"] else None)
        assert told[row["id"], "close_on", at] == (row["close_date"][:10] or None)
    tasks = raw(folder / "sf_task_data.csv")
    kept = dict(rows(workspace, "SELECT activity_id, rep_id FROM activities"))
    assert {row["id"]: row["owner_id"] for row in tasks}.items() <= kept.items()
    assert dict(rows(workspace, "SELECT rep_id, name FROM reps")) == {
        row["id"]: row["name"] for row in raw(folder / "sf_user_data.csv")
    }


SALESFORCE = {
    "Opportunity": [
        ["Id", "Name", "OwnerId", "AccountId", "StageName", "IsClosed", "IsWon", "IsDeleted", "Amount", "CurrencyIsoCode", "CloseDate", "CreatedDate", "SystemModstamp", "Probability", "ForecastCategory"],
        ["0065g00000Ab1Cd", "One", "0055g00000Ab1Cd", "0015g00000Ab1Cd", "Proposal", "false", "false", "false", "100.50", "USD", "2026-11-30", "2026-08-02T23:30:00.000+0000", "2026-10-01T01:02:03.000Z", "60", "Pipeline"],
        ["0065g00000Ab1CeAAJ", "Two", "0055g00000Ab1Cd", "", "Closed Won", "true", "true", "false", "8", "USD", "2026-09-14", "2026-09-02T10:00:00.000+0000", "", "100", "Closed"],
        ["0065g00000Ab1Cf", "Three", "0055g00000Ab1Cd", "", "Closed Lost", "true", "false", "false", "", "USD", "2026-09-30", "2026-08-31T10:00:00.000+0000", "", "0", "Omitted"],
        ["0065g00000Ab1Cg", "Gone", "0055g00000Ab1Cd", "", "Prospecting", "false", "false", "true", "", "USD", "2026-09-30", "2026-08-31T10:00:00.000+0000", "2026-10-02T01:02:03.000Z", "0", ""],
    ],
    "OpportunityHistory": [
        ["Id", "OpportunityId", "CreatedDate", "CreatedById", "StageName", "Amount", "CloseDate"],
        ["008x", "0065g00000Ab1Cd", "2026-08-02T23:30:00.000+0000", "0055g00000Ab1Cd", "Prospecting", "90", "2026-10-31"],
        ["008y", "0065g00000Ab1Cd", "2026-09-02T08:00:00.000+0000", "0055g00000Ab1Cd", "Proposal", "100.5", "2026-11-30"],
    ],
    "OpportunityFieldHistory": [
        ["Id", "OpportunityId", "Field", "DataType", "OldValue", "NewValue", "CreatedDate", "CreatedById"],
        ["017a", "0065g00000Ab1Cd", "Owner", "EntityId", "0055g00000Ab1Ce", "0055g00000Ab1Cd", "2026-09-03T08:00:00.000+0000", "0055g00000Ab1Ce"],
        ["017b", "0065g00000Ab1Cd", "Owner", "Text", "Ann", "Bob", "2026-09-03T08:00:00.000+0000", "0055g00000Ab1Ce"],
        ["017c", "0065g00000Ab1Cd", "NextStep", "Text", "", "Call", "2026-09-04T08:00:00.000+0000", "0055g00000Ab1Ce"],
    ],
    "DatedConversionRate": [["IsoCode", "ConversionRate", "StartDate"], ["EUR", "0.9", "2026-01-01"]],
}  # fmt: skip


def test_salesforce_api_names_and_the_history_of_a_deal(tmp_path: Path) -> None:
    path = tmp_path / "export.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, table in SALESFORCE.items():
            archive.writestr(f"{name}.csv", "".join(",".join(row) + "\r\n" for row in table))
    workspace, accounting = loaded(tmp_path, path, "salesforce", time_zone="Asia/Shanghai")
    assert accounting.quarantined == 0
    assert rows(
        workspace,
        "SELECT deal_id, status, amount_minor, created_on, close_on, probability FROM deals ORDER BY name",
    ) == [
        ("0065g00000Ab1CdAAJ", "open", 10050, date(2026, 8, 3), date(2026, 11, 30), 0.6),
        ("0065g00000Ab1CfAAJ", "lost", None, date(2026, 8, 31), date(2026, 9, 30), 0.0),
        ("0065g00000Ab1CeAAJ", "won", 800, date(2026, 9, 2), date(2026, 9, 14), 1.0),
    ]
    assert rows(
        workspace,
        'SELECT deal_id, field, "old", "new", occurred_at FROM deal_events ORDER BY occurred_at, field',
    ) == [
        ("0065g00000Ab1CdAAJ", "amount", None, "9000", datetime(2026, 8, 2, 23, 30)),
        ("0065g00000Ab1CdAAJ", "close_on", None, "2026-10-31", datetime(2026, 8, 2, 23, 30)),
        ("0065g00000Ab1CdAAJ", "stage", None, "Prospecting", datetime(2026, 8, 2, 23, 30)),
        ("0065g00000Ab1CdAAJ", "amount", None, "10050", datetime(2026, 9, 2, 8)),
        ("0065g00000Ab1CdAAJ", "close_on", None, "2026-11-30", datetime(2026, 9, 2, 8)),
        ("0065g00000Ab1CdAAJ", "stage", None, "Proposal", datetime(2026, 9, 2, 8)),
        ("0065g00000Ab1CdAAJ", "owner", "0055g00000Ab1CeAAJ", "0055g00000Ab1CdAAJ", datetime(2026, 9, 3, 8)),
        ("0065g00000Ab1CgAAJ", "status", None, "deleted", datetime(2026, 10, 2, 1, 2, 3)),
    ]
    assert rows(workspace, 'SELECT currency, "into", rate::VARCHAR FROM fx_rates') == [
        ("USD", "EUR", "0.9000000000")
    ]


def test_a_salesforce_report_with_its_footer(tmp_path: Path) -> None:
    workspace, accounting = loaded(tmp_path, DATA / "salesforce_report", "salesforce")
    assert {a.table: (a.rows, a.loaded, a.dropped.get("footer")) for a in accounting.files} == {
        "reps": (9, 2, 5), "accounts": (9, 3, 5), "deals": (9, 4, 5),
    }  # fmt: skip
    assert rows(
        workspace,
        "SELECT name, rep_id, status, amount_minor, created_on, close_on, next_step FROM deals ORDER BY name",
    ) == [
        (
            "Acorn - renewal",
            "Ann Lee",
            "open",
            1250000,
            date(2026, 8, 2),
            date(2026, 11, 30),
            "Send contract",
        ),
        ("Acorn - services", "Bo Chen", "lost", None, date(2026, 8, 31), date(2026, 9, 30), None),
        ("Birch new", "Ann Lee", "won", 800050, date(2026, 9, 2), date(2026, 9, 14), None),
        (
            "Cedar pilot",
            "Bo Chen",
            "open",
            300000,
            date(2026, 10, 4),
            date(2026, 12, 31),
            '=HYPERLINK("http://x.invalid")',
        ),
    ]


def test_hubspot_tables(tmp_path: Path) -> None:
    folder = DATA / "hubspot"
    workspace, accounting = loaded(tmp_path, folder, "hubspot")
    deals = raw(folder / "deal_data.csv")
    assert dict(rows(workspace, "SELECT deal_id, created_on FROM deals")) == {
        row["deal_id"]: date.fromisoformat(row["property_createdate"][:10])
        for row in deals
        if row["is_deleted"].lower() != "true"
    }
    assert len(rows(workspace, "SELECT rep_id FROM reps")) == len(
        {row["owner_id"] for row in raw(folder / "owner_data.csv")}
    )
    merged = {row["merged_deal_id"] for row in raw(folder / "merged_deal_data.csv")}
    assert {
        deal for (deal,) in rows(workspace, "SELECT deal_id FROM deal_events WHERE \"new\" = 'deleted'")
    } == merged
    stages = {(row["deal_id"], row["value"]) for row in raw(folder / "deal_stage_data.csv")}
    assert set(rows(workspace, "SELECT deal_id, \"new\" FROM deal_events WHERE field = 'stage'")) == stages
    assert {"engagement_meeting_data.csv", "deal_pipeline_data.csv"} <= set(accounting.unread)


def test_hubspot_stages_of_a_pipeline_say_what_is_won(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "deal_pipeline_stage.csv").write_text(
        "stage_id,label,is_closed,closed_won\ns1,Demo,FALSE,FALSE\ns2,Won!,TRUE,TRUE\ns3,Lost!,TRUE,FALSE\n"
    )
    (folder / "deal.csv").write_text(
        "deal_id,is_deleted,deal_pipeline_stage_id,owner_id,property_dealname,property_amount,property_closedate,property_createdate\n"
        "1,false,s1,7,a,10,,2026-01-02 03:04:05\n2,false,s2,7,b,,2026-02-03 00:00:00,2026-01-02 03:04:05\n3,false,s3,7,c,,,2026-01-02 03:04:05\n4,false,old,7,d,,,2026-01-02 03:04:05\n5,true,s1,7,e,,,2026-01-02 03:04:05\n"
    )
    (folder / "deal_property_history.csv").write_text(
        "deal_id,timestamp,name,value,source_id\n1,2026-01-02 03:04:05.5,dealstage,s1,u\n1,2026-01-03 03:04:05,amount,10.5,u\n1,2026-01-04 03:04:05,hubspot_owner_id,8,u\n1,2026-01-05 03:04:05,closedate,2026-03-04T22:00:00Z,u\n1,2026-01-06 03:04:05,dealname,x,u\n"
    )
    workspace, accounting = loaded(tmp_path, folder, "hubspot", time_zone="Asia/Shanghai")
    assert accounting.quarantined == 0
    assert rows(workspace, "SELECT deal_id, stage, status FROM deals ORDER BY 1") == [
        ("1", "Demo", "open"), ("2", "Won!", "won"), ("3", "Lost!", "lost"), ("4", "old", "open"),
    ]  # fmt: skip
    assert rows(workspace, 'SELECT field, "new" FROM deal_events ORDER BY occurred_at') == [
        ("stage", "Demo"), ("amount", "1050"), ("owner", "8"), ("close_on", "2026-03-05"),
    ]  # fmt: skip


def test_fxiaoke(tmp_path: Path) -> None:
    workspace, accounting = loaded(
        tmp_path, DATA / "fxiaoke", "fxiaoke", currency="CNY", time_zone="Asia/Shanghai"
    )
    assert {a.encoding for a in accounting.files if a.file == "商机.csv"} == {"gb18030"}
    assert rows(
        workspace,
        "SELECT deal_id, rep_id, stage, status, amount_minor, created_on, close_on, probability FROM deals ORDER BY 1",
    ) == [
        ("OP-001", "王小明", "方案报价", "open", 1_234_000_000, date(2026, 8, 2), date(2026, 11, 30), 0.6),
        ("OP-002", "李雷", "赢单", "won", 12_000_000_000, date(2026, 3, 2), date(2026, 9, 14), 1.0),
        ("OP-003", "王小明", "输单", "lost", 5_000_000, date(2026, 8, 31), date(2026, 9, 30), 0.0),
    ]
    assert [(a.table, a.quarantined) for a in accounting.files if a.quarantined] == [("deals", 2)]
    assert accounting.quarantine is not None
    with accounting.quarantine.open(encoding="utf-8", newline="") as file:
        assert [(r["line"], r["value"], r["reason"]) for r in csv.DictReader(file)] == [
            ("5", "美元", "no rate from USD to CNY on 2026-10-04"), ("6", "面议", "not an amount"),
        ]  # fmt: skip
    assert rows(
        workspace, "SELECT activity_id, kind, occurred_at, deal_id, checked_in FROM activities ORDER BY 1"
    ) == [
        ("SR-1", "visit", datetime(2026, 10, 8, 6), "OP-001", True),
        ("SR-2", "call", datetime(2026, 10, 7, 1, 30), "OP-002", None),
        ("SR-3", "note", datetime(2026, 10, 6, 12, 10), "OP-004", False),
    ]
    assert ("华东制造", "制造业") in rows(workspace, "SELECT name, industry FROM accounts")
    assert ("王小明", "华东一部") in rows(workspace, "SELECT rep_id, team FROM reps")


def test_xiaoshouyi_without_ids(tmp_path: Path) -> None:
    workspace, accounting = loaded(
        tmp_path, DATA / "xiaoshouyi", "xiaoshouyi", currency="CNY", time_zone="Asia/Shanghai"
    )
    assert accounting.quarantined == 0
    assert rows(
        workspace, "SELECT deal_id, status, amount_minor, close_on, loss_reason FROM deals ORDER BY close_on"
    ) == [
        ("数据中台 北方银行", "won", 12_000_000_000, date(2026, 9, 14), None),
        ("网络改造 西南电力", "lost", 5_000_000, date(2026, 9, 30), "竞争对手"),
        ("智慧园区一期 华东制造", "open", 1_234_000_000, date(2026, 11, 30), None),
        ("网络改造 华东制造", "open", None, date(2026, 12, 30), None),
    ]
    [(modified,)] = rows(workspace, "SELECT modified_at FROM deals WHERE name = '智慧园区一期'")
    assert modified.replace(tzinfo=UTC) == datetime(2026, 10, 8, 10, 20, 31, tzinfo=UTC)


def test_a_file_that_a_preset_does_not_know_is_named(tmp_path: Path) -> None:
    path = tmp_path / "odd.csv"
    path.write_text("a,b\n1,2\n")
    workspace = Workspace.init(tmp_path / "workspace")
    with pytest.raises(NotFound, match=r"odd\.csv.*a, b"):
        sources.import_paths(workspace, [path], preset="salesforce")
    (tmp_path / "empty").mkdir()
    with pytest.raises(NotFound, match="no file that the mapping reads"):
        sources.import_paths(workspace, [tmp_path / "empty"], preset="salesforce")

//! Tables in and out.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use mused_formats::table::*;
use proptest::prelude::*;

const EVENTS: &str = "onset\tduration\ttrial_type\n0.5\t2\tface\n\n3.5\tn/a\thouse\n6\t\tn/a\n";

fn message(text: &[u8]) -> String {
    Table::parse(text).unwrap_err().to_string()
}

#[test]
fn cells_are_read_as_text_numbers_and_missing() {
    let table = Table::parse(EVENTS.as_bytes()).unwrap();
    assert_eq!(table.columns(), ["onset", "duration", "trial_type"]);
    assert_eq!(table.rows(), 3);
    assert!(table.row(1).unwrap().eq(["3.5", "n/a", "house"]));
    assert!(table.row(3).is_none());
    assert_eq!(
        table.column("onset").unwrap().parse::<f64>().unwrap(),
        [0.5, 3.5, 6.]
    );
    let durations = table.column("duration").unwrap();
    assert_eq!(
        durations.parse_optional::<u32>().unwrap(),
        [Some(2), None, None]
    );
    assert!(durations.cells().eq([Some("2"), None, None]));
    assert!(table.optional_column("repeat").is_none());
}

#[test]
fn errors_name_file_line_and_column() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("events.tsv");
    std::fs::write(&path, EVENTS).unwrap();
    let table = Table::read(&path).unwrap();
    // The empty line counts.
    assert_eq!(table.line(1), Some(4));
    let duration = table.column("duration").unwrap();
    for (error, expected) in [
        (
            table.column("repeat").unwrap_err(),
            "no column `repeat`; there is: onset, duration, trial_type",
        ),
        (
            duration.parse::<f64>().unwrap_err(),
            "line 4, column duration: expected a number, found \"n/a\"",
        ),
        (
            table.column("trial_type").unwrap().strings().unwrap_err(),
            "line 5, column trial_type: expected a value",
        ),
        (
            table
                .column("trial_type")
                .unwrap()
                .parse::<u8>()
                .unwrap_err(),
            "line 2, column trial_type",
        ),
        (
            duration.invalid(0, "at most 1"),
            "line 2, column duration: expected at most 1, found \"2\"",
        ),
        (duration.invalid(99, "x"), "line ?"),
    ] {
        let message = error.to_string();
        assert!(
            message.contains(expected) && message.contains("events.tsv: "),
            "{message}"
        );
    }
    assert!(
        Table::read(directory.path().join("absent.tsv"))
            .unwrap_err()
            .to_string()
            .contains("absent.tsv")
    );
}

#[test]
fn malformed_tables_are_refused() {
    assert!(message(b"").contains("a header row"));
    assert!(message(b"a\tb\ta\n").contains("`a` twice"));
    assert!(message(b"a\tb\n1\t2\n1\n").contains("line 3: expected 2 cells, found 1"));
    assert!(message(b"a\tb\n1\t2\t3\n").contains("line 2: expected 2 cells, found 3"));
    assert!(message(b"a\tb\n1\t2\n1\t\xFF\n").contains("line 3: expected UTF-8"));
    assert!(message(b"a\r\n1\r\n\r\n1\t2\r\n").contains("line 4: expected 1 cells"));
    assert!(message(b"a\xFF\tb\n").contains("line 1: expected UTF-8"));
    assert!(message(b"a\tb\n1\t\"open\n1\t2\n").contains("quote left open"));
    assert!(message(b"a\tb\n1\t2\n1\t\"open").contains("line 3: expected no line break"));
    for table in [
        &b"\"red\" car\tb\n"[..],
        b"a\n\"red\" car\n",
        b"a\tb\n1\t\"x\"y\n",
    ] {
        let found = message(table);
        assert!(
            found.contains("expected the end of a cell at its closing quote"),
            "{found}"
        );
    }
}

#[test]
fn what_other_programs_write_is_read() {
    let table = Table::parse(b"\xEF\xBB\xBFa\tb\r\n1\t\"a \"\"word\"\"\"\r\n".as_slice()).unwrap();
    assert_eq!(table.columns(), ["a", "b"]);
    assert_eq!(
        table.column("b").unwrap().strings().unwrap(),
        ["a \"word\""]
    );
}

#[test]
fn a_writer_refuses_what_it_could_not_read_back() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.tsv");
    assert!(TableWriter::create::<&str>(&path, &[]).is_err());
    assert!(TableWriter::create(&path, &["a", "a"]).is_err());
    assert!(TableWriter::create(&path, &["a\t"]).is_err());
    let mut writer = TableWriter::create(&path, &["a", "b"]).unwrap();
    assert!(
        writer
            .write_row(["1"])
            .unwrap_err()
            .to_string()
            .contains("expected 2, given 1")
    );
    assert!(writer.write_row(["1", "2\t3"]).is_err());
    assert!(writer.write_row(["1", "2\n3"]).is_err());
    writer.write_row(["1", "2"]).unwrap();
    writer.finish().unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "a\tb\n1\t2\n");
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(rows in prop::collection::vec(prop::collection::vec("[ -~é]{0,8}", 1), 0..8)) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.tsv");
        let mut writer = TableWriter::create(&path, &["only"]).unwrap();
        for row in &rows {
            writer.write_row(row).unwrap();
        }
        writer.finish().unwrap();
        let table = Table::read(&path).unwrap();
        let back: Vec<Vec<String>> =
            (0..table.rows()).map(|row| table.row(row).unwrap().map(str::to_owned).collect()).collect();
        prop_assert_eq!(back, rows);
    }

    #[test]
    fn no_bytes_make_the_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
        let _ = Table::parse(bytes.as_slice());
    }
}

#[test]
fn comma_separated_tables_read_as_pandas_writes_them() {
    // As `DataFrame.to_csv` does: the index unnamed, cells quoted where they hold a comma or a quote.
    let text = ",cocoId,cropBox,caption\n0,532481,\"(0, 0, 0.15, 0.2)\",\"a \"\"good\"\" dog\"\n1,245764,\"(0, 0, 0, 0)\",\n";
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stimuli.csv");
    std::fs::write(&path, text).unwrap();
    for table in [
        Table::read_csv(&path).unwrap(),
        Table::parse_csv(text.as_bytes()).unwrap(),
    ] {
        assert_eq!(table.columns(), ["", "cocoId", "cropBox", "caption"]);
        assert_eq!(table.column("").unwrap().parse::<usize>().unwrap(), [0, 1]);
        let boxes = table.column("cropBox").unwrap().strings().unwrap();
        assert_eq!(boxes, ["(0, 0, 0.15, 0.2)", "(0, 0, 0, 0)"]);
        let captions: Vec<_> = table.column("caption").unwrap().cells().collect();
        assert_eq!(captions, [Some("a \"good\" dog"), None]);
    }
    let message = Table::parse_csv(&b"a,b\n1\n"[..]).unwrap_err().to_string();
    assert!(message.contains("line 2: expected 2 cells"), "{message}");
}

#[test]
fn blanks_are_no_cell_and_no_part_of_a_number() {
    let table = Table::parse("a\tb\n \t 24.0 \n\u{a0}\t1\nn/a \t3\n".as_bytes());
    let table = table.unwrap();
    assert!(
        table
            .column("a")
            .unwrap()
            .cells()
            .all(|cell| cell.is_none())
    );
    let numbers: Vec<f64> = table.column("b").unwrap().parse().unwrap();
    assert_eq!(numbers, [24.0, 1.0, 3.0]);
}

//! The file under an operator's hands, on a clock of the test's own.

use super::*;
use std::os::unix::fs::PermissionsExt;

struct Folder {
    folder: tempfile::TempDir,
    start: Instant,
}

impl Folder {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), start: Instant::now() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    fn after(&self, ms: u64) -> Instant {
        self.start + Duration::from_millis(ms)
    }
}

#[track_caller]
fn fine(written: &Written) {
    assert!(written.lost == 0 && written.error.is_none(), "{written:?}");
}

#[test]
fn a_new_file_is_the_owners_alone_and_an_old_one_is_appended_to() {
    let at = Folder::new();
    fine(&LogFile::open(&at.path("a"), None, 1).unwrap().append(b"1\n", at.start));
    assert_eq!(fs::metadata(at.path("a")).unwrap().permissions().mode() & 0o777, 0o600);
    fine(&LogFile::open(&at.path("a"), None, 1).unwrap().append(b"2\n", at.start));
    assert_eq!(at.read("a"), "1\n2\n");
}

#[test]
fn a_renamed_or_removed_file_is_noticed_within_a_second_and_not_looked_for_before() {
    let at = Folder::new();
    let mut file = LogFile::open(&at.path("a"), None, 1).unwrap();
    fine(&file.append(b"1\n", at.after(0)));
    fs::rename(at.path("a"), at.path("b")).unwrap();
    fine(&file.append(b"2\n", at.after(999)));
    assert_eq!((at.read("a").as_str(), at.read("b").as_str()), ("", "1\n2\n"));
    fine(&file.append(b"3\n", at.after(1000)));
    assert_eq!((at.read("a").as_str(), at.read("b").as_str()), ("3\n", "1\n2\n"));
    fs::remove_file(at.path("a")).unwrap();
    fine(&file.append(b"4\n", at.after(2000)));
    assert_eq!(at.read("a"), "4\n");
}

#[test]
fn a_folder_that_is_gone_loses_lines_until_it_is_back() {
    let at = Folder::new();
    let folder = at.path("logs");
    fs::create_dir(&folder).unwrap();
    let mut file = LogFile::open(&folder.join("a"), None, 1).unwrap();
    fine(&file.append(b"1\n", at.after(0)));
    fs::remove_dir_all(&folder).unwrap();
    let written = file.append(b"2\n3\n", at.after(1000));
    assert!(matches!(written, Written { lost: 2, error: Some(FileError::Open(..)) }));
    let written = file.append(b"4\n", at.after(1500));
    assert!(matches!(written, Written { lost: 1, error: Some(FileError::StillClosed(_)) }));
    fs::create_dir(&folder).unwrap();
    fine(&file.append(b"5\n", at.after(2000)));
    assert_eq!(at.read("logs/a"), "5\n");
}

#[test]
fn a_full_file_is_rotated_and_the_oldest_goes() {
    let at = Folder::new();
    let mut file = LogFile::open(&at.path("a"), Some(4), 2).unwrap();
    for line in [b"1\n", b"2\n", b"3\n", b"4\n", b"5\n", b"6\n", b"7\n"] {
        fine(&file.append(line, at.start));
    }
    fine(&file.append(b"too long\n", at.start));
    fine(&file.append(b"8\n", at.start));
    let found = ["a", "a.1", "a.2", "a.3"].map(|name| at.read(name));
    assert_eq!(found, ["8\n", "too long\n", "7\n", ""]);
    let again = LogFile::open(&at.path("a"), Some(4), 2).unwrap().append(b"90\n", at.start);
    fine(&again);
    assert_eq!(at.read("a"), "90\n");
}

#[test]
fn a_full_disk_loses_lines_and_nothing_else() {
    let start = Instant::now();
    let mut file = LogFile::open(Path::new("/dev/full"), Some(4), 2).unwrap();
    for _ in 0..2 {
        let written = file.append(b"1\n2\n", start);
        assert!(matches!(written, Written { lost: 2, error: Some(FileError::Write(..)) }));
    }
}

#[test]
fn a_torn_line_is_ended_before_the_next_one() {
    let at = Folder::new();
    let mut file = LogFile::open(&at.path("a"), None, 1).unwrap();
    fine(&file.append(b"half", at.start));
    fine(&file.append(b"1\n", at.start));
    fine(&file.append(b"2\n", at.start));
    assert_eq!(at.read("a"), "half\n1\n2\n");
}

#[test]
fn what_is_no_file_or_cannot_be_made_is_refused_with_a_remedy() {
    let at = Folder::new();
    for (path, expected) in [
        (at.folder.path().to_owned(), "found something else; name a file"),
        (at.path("none/a"), "make its folder"),
        (at.path("a/b\0"), "expected to append to"),
        (PathBuf::new(), "expected to append to"),
    ] {
        let error = LogFile::open(&path, None, 1).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

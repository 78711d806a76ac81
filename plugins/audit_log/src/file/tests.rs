//! Tests the file while an operator changes it, on a clock that the test sets.

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
    assert!(written.error.is_none(), "{written:?}");
}

#[track_caller]
fn append(file: &mut LogFile, lines: &[u8], now: Instant) {
    let written = file.append(lines, now);
    fine(&written);
    assert_eq!(written.bytes, lines.len());
}

#[test]
fn a_new_file_is_the_owners_alone_and_an_old_one_is_appended_to() {
    let at = Folder::new();
    fine(&LogFile::new(&at.path("a"), None, 1).unwrap().append(b"1\n", at.start));
    assert_eq!(fs::metadata(at.path("a")).unwrap().permissions().mode() & 0o777, 0o600);
    fine(&LogFile::new(&at.path("a"), None, 1).unwrap().append(b"2\n", at.start));
    assert_eq!(at.read("a"), "1\n2\n");
}

#[test]
fn a_renamed_or_removed_file_is_noticed_within_a_second_and_not_looked_for_before() {
    let at = Folder::new();
    let mut file = LogFile::new(&at.path("a"), None, 1).unwrap();
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
    let mut file = LogFile::new(&folder.join("a"), None, 1).unwrap();
    fine(&file.append(b"1\n", at.after(0)));
    fs::remove_dir_all(&folder).unwrap();
    let written = file.append(b"2\n3\n", at.after(1000));
    assert!(matches!(written, Written { bytes: 0, error: Some(FileError::Open(..)) }));
    let written = file.append(b"4\n", at.after(1500));
    assert!(matches!(written, Written { bytes: 0, error: Some(FileError::StillClosed(_)) }));
    fs::create_dir(&folder).unwrap();
    fine(&file.append(b"5\n", at.after(2000)));
    assert_eq!(at.read("logs/a"), "5\n");
}

#[test]
fn a_full_file_is_rotated_and_the_oldest_goes() {
    let at = Folder::new();
    let mut file = LogFile::new(&at.path("a"), Some(4), 2).unwrap();
    for line in [b"1\n", b"2\n", b"3\n", b"4\n", b"5\n", b"6\n", b"7\n"] {
        fine(&file.append(line, at.start));
    }
    fine(&file.append(b"too long\n", at.start));
    fine(&file.append(b"8\n", at.start));
    let found = ["a", "a.1", "a.2", "a.3"].map(|name| at.read(name));
    assert_eq!(found, ["8\n", "too long\n", "7\n", ""]);
    let again = LogFile::new(&at.path("a"), Some(4), 2).unwrap().append(b"90\n", at.start);
    fine(&again);
    assert_eq!(at.read("a"), "90\n");
}

#[test]
fn a_full_disk_loses_lines_and_nothing_else() {
    let start = Instant::now();
    let mut file = LogFile::new(Path::new("/dev/full"), Some(4), 2).unwrap();
    for _ in 0..2 {
        let written = file.append(b"1\n2\n", start);
        assert!(matches!(written, Written { bytes: 0, error: Some(FileError::Write(..)) }));
    }
}

/// Simulates a disk that is full in the middle of a line, with a limit on the file's size.
#[test]
fn a_half_line_is_cut_off_again_and_what_was_whole_is_counted() {
    if let Some(path) = std::env::var_os("AUDIT_LOG_LIMITED") {
        let path = PathBuf::from(path);
        let mut file = LogFile::new(&path, None, 1).unwrap();
        append(&mut file, b"0123456\n", Instant::now());
        let written = file.append(b"89\n23456789\n", Instant::now());
        assert_eq!((written.bytes, written.error.is_some()), (3, true), "{written:?}");
        let written = file.append(b"abcdefgh\n", Instant::now());
        assert_eq!((written.bytes, written.error.is_some()), (0, true), "{written:?}");
        append(&mut file, b"abc\n", Instant::now());
        return;
    }
    let at = Folder::new();
    let this = std::env::current_exe().unwrap();
    let script = "trap '' XFSZ; exec prlimit --fsize=16 \"$0\" --exact \"$1\"";
    let name = "file::tests::a_half_line_is_cut_off_again_and_what_was_whole_is_counted";
    let ended = std::process::Command::new("sh")
        .args(["-c", script])
        .arg(this)
        .arg(name)
        .env("AUDIT_LOG_LIMITED", at.path("a"))
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .status();
    assert!(ended.unwrap().success());
    assert_eq!(at.read("a"), "0123456\n89\nabc\n");
}

#[test]
fn the_half_of_somebody_else_is_ended_before_the_next_line() {
    let at = Folder::new();
    fs::write(at.path("a"), "half").unwrap();
    let mut file = LogFile::new(&at.path("a"), None, 1).unwrap();
    append(&mut file, b"1\n", at.start);
    append(&mut file, b"2\n", at.start);
    assert_eq!(at.read("a"), "half\n1\n2\n");
}

#[test]
fn nothing_is_made_before_the_first_line() {
    let at = Folder::new();
    let mut file = LogFile::new(&at.path("a"), None, 1).unwrap();
    assert!(!at.path("a").exists());
    append(&mut file, b"1\n", at.start);
    fs::set_permissions(at.path("a"), fs::Permissions::from_mode(0o640)).unwrap();
    drop(LogFile::new(&at.path("a"), None, 1).unwrap());
    assert_eq!(fs::metadata(at.path("a")).unwrap().permissions().mode() & 0o777, 0o640);
}

#[test]
fn what_is_no_file_or_cannot_be_made_is_refused_with_a_remedy() {
    let at = Folder::new();
    for (path, expected) in [
        (at.folder.path().to_owned(), "found something else; name a file"),
        (at.path("none/a"), "create its folder"),
        (at.path("a/b\0"), "cannot append to"),
        (PathBuf::new(), "cannot append to"),
    ] {
        let error = LogFile::new(&path, None, 1).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

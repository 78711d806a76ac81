//! Child processes, with a shell as the child.

use super::{ChildEnding, ChildJob, protocol::OUTPUT};
use std::{fs::File, io::Write as _, time::Duration};

fn shell(script: &str) -> ChildJob<'_> {
    ChildJob {
        program: "/bin/sh".into(),
        arguments: vec!["-c".into(), script.into()],
        input: None,
        request: b"",
        limit: Duration::from_secs(30),
    }
}

#[test]
fn each_ending_is_distinguished() {
    for (script, ending, step) in [
        (
            "echo '>one'; echo '>two'; echo '=done'; sleep 60",
            ChildEnding::Result("done".into()),
            "two",
        ),
        ("echo '=first'; echo '=second'", ChildEnding::Result("first".into()), ""),
        ("echo '>one'", ChildEnding::Exited(0), "one"),
        ("exit 7", ChildEnding::Exited(7), ""),
        ("echo '>here'; kill -SEGV $$", ChildEnding::Signal(11), "here"),
        ("echo nonsense; printf '=cut'", ChildEnding::Exited(0), ""),
        ("exec >&-; exit 3", ChildEnding::Exited(3), ""),
        ("sleep 60 & exit 3", ChildEnding::Exited(3), ""),
    ] {
        let outcome = shell(script).run().expect("a shell");
        assert_eq!((outcome.ending, &*outcome.step), (ending, step), "{script}");
    }
}

#[test]
fn what_takes_too_long_is_ended_with_all_it_started() {
    for script in [
        "while :; do echo '>hangs'; done",
        "echo '>hangs'; while :; do echo noise >&2; done",
        "sleep 60 & echo '>hangs'; wait",
        "echo '>hangs'; exec >&-; sleep 60",
    ] {
        let job = ChildJob { limit: Duration::from_millis(300), ..shell(script) };
        let outcome = job.run().expect("a shell");
        assert_eq!((outcome.ending, &*outcome.step), (ChildEnding::OutOfTime, "hangs"), "{script}");
    }
}

#[test]
fn notes_come_in_their_order() {
    let mut notes = Vec::new();
    let job = shell("for i in 1 2 3; do echo \"+$i\"; done; exit 3");
    let outcome = job.run_heard(&mut |note| notes.push(note.to_owned())).expect("a shell");
    assert_eq!((outcome.ending, notes.concat()), (ChildEnding::Exited(3), "123".to_owned()));
}

#[test]
fn of_what_is_printed_the_end_is_kept() {
    let script = "i=0; while [ $i -lt 3000 ]; do echo line $i >&2; i=$((i+1)); done; exit 1";
    let outcome = shell(script).run().expect("a shell");
    assert!(outcome.output.len() <= OUTPUT && outcome.output.ends_with("line 2999\n"));
}

#[test]
fn file_and_request_arrive_and_the_environment_does_not() {
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(b"of the file").expect("written");
    let file = File::open(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file)));
    let file = file.expect("reopened at its start");
    let large = "x".repeat(300_000);
    let script = "exec 3<&1; file=$(cat); n=$(wc -c <&3); echo \"=$file, $n, [$HOME$CARGO]\"";
    let job = ChildJob { input: Some(&file), request: large.as_bytes(), ..shell(script) };
    let outcome = job.run().expect("a shell");
    assert_eq!(outcome.ending, ChildEnding::Result("of the file, 300000, []".to_owned()));
}

#[test]
fn a_program_that_is_not_there_is_an_error() {
    let job = ChildJob { program: "/nowhere/at/all".into(), ..shell("") };
    assert!(job.run().is_err());
}

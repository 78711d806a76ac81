//! The parent's side: starts the child, hears what it tells, and judges how it ended.

use super::{
    EXIT, Told, executed,
    report::{Outcome, Step},
};
use crate::config::CallbackEntry;
use std::{
    collections::HashMap,
    io::{self, BufReader, Read, Write as _},
    os::unix::process::ExitStatusExt as _,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::{Duration, Instant},
};

/// How much of what the plugin printed is kept, from its end.
const LAST_WORDS: usize = 2048;

/// What the child told until it ended or was stopped.
#[derive(Default)]
struct Heard {
    /// Failure, if any, and time of each step that came to its end.
    ended: HashMap<String, (Option<String>, Duration)>,
    /// The step that has begun and not ended.
    open: Option<(String, Instant)>,
    done: bool,
    timed_out: bool,
}

/// The executed steps of one callback. Whatever the plugin does, they are all accounted for.
pub(super) fn check(entry: &CallbackEntry, limit: Duration) -> Vec<Step> {
    let name = Some(entry.name.as_str());
    let began = Instant::now();
    let (heard, status, last_words) = match run(entry, limit) {
        Ok(run) => run,
        Err(error) => {
            let failure = format!("the process to run it in cannot be started: {error}");
            return failed_at_once(name, failure, began.elapsed());
        }
    };
    let end = how_it_ended(&heard, status, limit, &last_words);
    let step = |step: &'static str| {
        if let Some((failure, took)) = heard.ended.get(step) {
            return Step::done(name, step, failure.clone(), *took);
        }
        match (&heard.open, &end) {
            (Some((open, since)), end) if open == step => {
                let failure = end.clone().unwrap_or_else(|| "it did not come to an end".to_owned());
                Step::done(name, step, Some(failure), since.elapsed())
            }
            (None, Some(end)) if step == EXIT => {
                Step::done(name, step, Some(end.clone()), Duration::ZERO)
            }
            (None, None) if step == EXIT => Step::done(name, step, None, Duration::ZERO),
            _ => Step::new(name, step, Outcome::NotRun),
        }
    };
    executed().map(step).collect()
}

fn failed_at_once(name: Option<&str>, failure: String, took: Duration) -> Vec<Step> {
    let mut steps = executed();
    let first = steps.next().map(|step| Step::done(name, step, Some(failure), took));
    first.into_iter().chain(steps.map(|step| Step::new(name, step, Outcome::NotRun))).collect()
}

/// What is wrong with the child's end; `None` when it did what it was asked and went.
fn how_it_ended(
    heard: &Heard,
    status: ExitStatus,
    limit: Duration,
    last_words: &str,
) -> Option<String> {
    let what = if heard.timed_out {
        format!("it was not done within {} s, and was stopped", limit.as_secs())
    } else if let Some(signal) = status.signal() {
        format!("the plugin crashed the process: {}", signal_name(signal))
    } else if !heard.done {
        let code = status.code().unwrap_or_default();
        format!("the plugin ended the process with exit status {code}")
    } else if !status.success() {
        format!("the process ended with exit status {}", status.code().unwrap_or_default())
    } else {
        return None;
    };
    let last = last_words.lines().rev().find(|line| !line.trim().is_empty());
    Some(last.map_or_else(|| what.clone(), |line| format!("{what}\nlast words: {line}")))
}

fn signal_name(signal: i32) -> String {
    let name = match signal {
        4 => "SIGILL",
        5 => "SIGTRAP",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        15 => "SIGTERM",
        31 => "SIGSYS",
        _ => return format!("signal {signal}"),
    };
    format!("signal {signal} ({name})")
}

fn run(entry: &CallbackEntry, limit: Duration) -> io::Result<(Heard, ExitStatus, String)> {
    let file = entry.file.as_deref().unwrap_or_else(|| std::path::Path::new(""));
    let mut child = Command::new(std::env::current_exe()?)
        .args(["plugin", "check", "--inside", "--callback", &entry.name, "--"])
        .arg(file)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    // Settings may be secret, and a command line is not. A child that is gone already is judged below.
    if let Some(mut stdin) = child.stdin.take() {
        let _ = stdin.write_all(entry.settings.to_string().as_bytes());
    }
    let last_words = child.stderr.take().map(tail);
    let told = child.stdout.take().map(|stdout| listen(BufReader::new(stdout)));
    let heard = told.map_or_else(Heard::default, |told| hear(&told, &mut child, limit));
    let status = child.wait()?;
    let last_words = last_words.and_then(|words| words.recv_timeout(LATE_WORDS).ok());
    let last_words = String::from_utf8_lossy(&last_words.unwrap_or_default()).into_owned();
    Ok((heard, status, last_words))
}

/// A process the plugin left behind may hold the pipe: its words are not waited for.
const LATE_WORDS: Duration = Duration::from_secs(1);

/// The last bytes of a stream that is read to its end in the background.
fn tail(stream: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(last_bytes(stream)));
    receiver
}

/// Hears the child until it is done and gone, or a step has taken too long.
fn hear(told: &Receiver<Told>, child: &mut Child, limit: Duration) -> Heard {
    let mut heard = Heard::default();
    loop {
        match told.recv_timeout(limit) {
            Ok(Told::Began(step)) => heard.open = Some((step, Instant::now())),
            Ok(Told::Ended { step, failure }) => {
                let took = heard.open.take().map(|(_, since)| since.elapsed());
                heard.ended.insert(step, (failure, took.unwrap_or_default()));
            }
            Ok(Told::Done) => heard.done = true,
            Err(mpsc::RecvTimeoutError::Disconnected) => return heard,
            Err(mpsc::RecvTimeoutError::Timeout) => {
                heard.timed_out = true;
                let _ = child.kill();
                return heard;
            }
        }
    }
}

/// What the child tells; the channel closes with its pipe.
fn listen(stdout: impl io::BufRead + Send + 'static) -> Receiver<Told> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in stdout.lines().map_while(Result::ok) {
            let Ok(told) = serde_json::from_str(&line) else { continue };
            if sender.send(told).is_err() {
                return;
            }
        }
    });
    receiver
}

fn last_bytes(mut stream: impl Read) -> Vec<u8> {
    let (mut kept, mut buffer) = (Vec::new(), [0; 4096]);
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        kept.extend_from_slice(buffer.get(..count).unwrap_or_default());
        let surplus = kept.len().saturating_sub(LAST_WORDS);
        kept.drain(..surplus);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_end_has_its_words() {
        let limit = Duration::from_secs(3);
        let end = |done, timed_out, raw, words: &str| {
            let heard = Heard { done, timed_out, ..Heard::default() };
            how_it_ended(&heard, ExitStatus::from_raw(raw), limit, words)
        };
        assert_eq!(end(true, false, 0, "noise"), None);
        assert!(end(false, false, 0, "").unwrap().ends_with("with exit status 0"));
        assert!(end(true, false, 1 << 8, "").unwrap().ends_with("exit status 1"));
        assert!(end(false, true, 9, "").unwrap().contains("within 3 s"));
        let crash = end(false, false, 11, "a\nfree(): invalid\n\n").unwrap();
        assert!(crash.ends_with("signal 11 (SIGSEGV)\nlast words: free(): invalid"), "{crash}");
    }

    #[test]
    fn only_the_end_of_long_words_is_kept() {
        let long = [vec![b'a'; 9000], vec![b'b'; 10]].concat();
        let kept = last_bytes(&*long);
        assert_eq!((kept.len(), kept.ends_with(b"bbbb")), (LAST_WORDS, true));
    }
}

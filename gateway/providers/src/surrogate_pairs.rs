//! Joins surrogate pairs that an upstream split between two chunks: both halves go into the second
//! chunk, so that clients and callbacks that decode each chunk see the character. A half without
//! its counterpart is passed on as it came.

use super::ChunkSink;
use callgate_json::{
    lone_surrogates::{self, LoneSurrogate},
    slices,
};

/// A chunk whose text ends with the first half of a pair.
#[derive(Debug, Default)]
pub(super) struct SurrogatePairs {
    held: Option<Vec<u8>>,
}

impl SurrogatePairs {
    /// Passes on a chunk, given in parts; `halved` if it contains halves. Usually nothing has to be
    /// searched. The parts are joined only if the chunk may have to wait for the next one.
    pub(super) fn pass_parts(&mut self, chunk: &[&[u8]], halved: bool, out: &mut dyn ChunkSink) {
        let may_wait = || chunk.iter().any(|part| lone_surrogates::may_end_in_half(part));
        if self.held.is_some() || halved && may_wait() {
            self.pass(chunk.concat(), out);
        } else {
            out.chunk(chunk);
        }
    }

    /// The same for a chunk with halves. A chunk that ends with a half waits for the next one.
    fn pass(&mut self, mut chunk: Vec<u8>, out: &mut dyn ChunkSink) {
        if let Some(mut before) = self.held.take() {
            join(&mut before, &mut chunk);
            out.chunk(&[&before]);
        }
        if opens_pair(&chunk).is_some() {
            self.held = Some(chunk);
        } else {
            out.chunk(&[&chunk]);
        }
    }

    /// Called after the last chunk.
    pub(super) fn flush(&mut self, out: &mut dyn ChunkSink) {
        if let Some(chunk) = self.held.take() {
            out.chunk(&[&chunk]);
        }
    }
}

/// Moves the half at the end of `before` to the half at the start of `after`, if both are in the
/// text of one choice.
fn join(before: &mut Vec<u8>, after: &mut Vec<u8>) {
    let (Some(high), Some(low)) = (opens_pair(before), closes_pair(after)) else { return };
    let same_name = before[high.name] == after[low.name];
    if !same_name || choice(before).is_none() || choice(before) != choice(after) {
        return;
    }
    let half: Vec<u8> = before.drain(high.place).collect();
    after.splice(low.place.start..low.place.start, half);
}

/// The first half of a pair at the end of a chunk's text. With halves in several texts it is not
/// clear which belong together.
fn opens_pair(chunk: &[u8]) -> Option<LoneSurrogate> {
    let found = lone_surrogates::lone_surrogates(chunk);
    let last = found.last.filter(|_| !found.scattered);
    last.filter(|half| half.is_high && half.place.end == half.text.end)
}

/// The second half at the start of a chunk's text.
fn closes_pair(chunk: &[u8]) -> Option<LoneSurrogate> {
    let found = lone_surrogates::lone_surrogates(chunk);
    let first = found.first.filter(|_| !found.scattered);
    first.filter(|half| !half.is_high && half.place.start == half.text.start)
}

/// The index of the chunk's only choice.
fn choice(chunk: &[u8]) -> Option<&[u8]> {
    let mut choices = slices::elements(slices::member(chunk, "choices")?);
    let only = choices.next().filter(|_| choices.next().is_none())?;
    Some(slices::member(only, "index").unwrap_or(b"0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Collected(Vec<String>);

    impl ChunkSink for Collected {
        fn chunk(&mut self, json: &[&[u8]]) {
            self.0.push(String::from_utf8(json.concat()).expect("utf-8"));
        }
    }

    fn chunk(index: u8, name: &str, text: &str) -> String {
        format!(r#"{{"choices":[{{"delta":{{"{name}":"{text}"}},"index":{index}}}]}}"#)
    }

    #[test]
    fn halves_of_one_text_come_together_and_others_as_they_were_sent() {
        let (high, low) = (r"a\ud83d", r"\ude00b");
        let joined = [chunk(0, "content", "a"), chunk(0, "content", r"\ud83d\ude00b")];
        let as_sent = |chunks: [String; 2]| (chunks.clone(), chunks);
        for (sent, expected) in [
            ([chunk(0, "content", high), chunk(0, "content", low)], joined),
            as_sent([chunk(0, "content", high), chunk(1, "content", low)]),
            as_sent([chunk(0, "reasoning", high), chunk(0, "content", low)]),
            as_sent([chunk(0, "content", high), chunk(0, "content", "b")]),
            as_sent([chunk(0, "content", low), chunk(0, "content", high)]),
            (
                [chunk(0, "content", r"\ud83d\ud83d"), chunk(0, "content", low)],
                [chunk(0, "content", r"\ud83d"), chunk(0, "content", r"\ud83d\ude00b")],
            ),
            as_sent([chunk(0, "content", high), r#"{"usage":{}}"#.to_owned()]),
        ] {
            let (mut pairs, mut out) = (SurrogatePairs::default(), Collected::default());
            sent.iter().for_each(|chunk| pairs.pass_parts(&[chunk.as_bytes()], true, &mut out));
            pairs.flush(&mut out);
            assert_eq!(out.0, expected, "{sent:?}");
        }
    }

    #[test]
    fn millions_of_halves_are_not_held() {
        struct Dropped(usize);
        impl ChunkSink for Dropped {
            fn chunk(&mut self, json: &[&[u8]]) {
                self.0 += json.iter().map(|part| part.len()).sum::<usize>();
            }
        }
        for (end, copies) in [("x", 0), ("", 1)] {
            let chunk = chunk(0, "content", &(r"\ud83d".repeat(100_000) + end));
            let (mut pairs, mut out) = (SurrogatePairs::default(), Dropped(0));
            let memory = allocation_counter::measure(|| {
                pairs.pass_parts(&[chunk.as_bytes()], true, &mut out);
                pairs.flush(&mut out);
            });
            assert_eq!(out.0, chunk.len());
            assert!(memory.bytes_max <= (copies * chunk.len() + 1000) as u64, "{memory:?}");
        }
    }
}

//! Mutates an input: by small changes, often several on top of each other.

use fastrand::Rng;

/// Numbers at the edge of some range.
const EDGES: [u64; 10] =
    [0, 1, 0x7f, 0x80, 0xff, 0xffff, 0x7fff_ffff, 0xffff_ffff, 0x7fff_ffff_ffff_ffff, u64::MAX];

/// An input made from `seed`, and sometimes from another seed, too.
pub(crate) fn mutated(
    seed: &[u8],
    others: &[(String, Vec<u8>)],
    tokens: &[&[u8]],
    largest: usize,
    random: &mut Rng,
) -> Vec<u8> {
    let mut input = seed.to_vec();
    for _ in 0..1 + random.usize(..6) {
        change(&mut input, others, tokens, random);
        input.truncate(largest);
    }
    input
}

fn change(input: &mut Vec<u8>, others: &[(String, Vec<u8>)], tokens: &[&[u8]], random: &mut Rng) {
    let at = place(input.len(), random);
    let span = span(at, input.len(), random);
    match random.u8(..12) {
        0 => flip(input, at, random),
        1 => overwrite(input, at, random),
        2 => insert(input, at, &[random.u8(..)]),
        3 => drop(input.drain(span)),
        4 => input.truncate(at),
        5 => repeat(input, span, random),
        6 | 7 => {
            if let Some(token) = random.choice(tokens) {
                insert(input, at, token);
            }
        }
        8 => {
            if let Some(token) = random.choice(tokens) {
                let _ = input.splice(span, token.iter().copied());
            }
        }
        9 => splice(input, at, others, random),
        10 => {
            let moved = input[span].to_vec();
            let to = place(input.len(), random);
            insert(input, to, &moved);
        }
        _ => edge(input, at, random),
    }
}

/// A position in an input; in a large one mostly near an end, where formats have their tables.
fn place(len: usize, random: &mut Rng) -> usize {
    const NEAR: usize = 4096;
    if len > 4 * NEAR && random.u8(..8) > 0 {
        let near = random.usize(..NEAR);
        return if random.bool() { near } else { len - near };
    }
    random.usize(..=len)
}

fn span(at: usize, len: usize, random: &mut Rng) -> std::ops::Range<usize> {
    let most = if random.bool() { 8 } else { 256 };
    at..len.min(at + random.usize(..most))
}

fn flip(input: &mut [u8], at: usize, random: &mut Rng) {
    if let Some(byte) = input.get_mut(at) {
        *byte ^= 1 << random.u8(..8);
    }
}

fn overwrite(input: &mut [u8], at: usize, random: &mut Rng) {
    if let Some(byte) = input.get_mut(at) {
        *byte = random.u8(..);
    }
}

fn insert(input: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    let _ = input.splice(at..at, bytes.iter().copied());
}

/// Repeats a span so often that the input becomes deep, or long.
fn repeat(input: &mut Vec<u8>, span: std::ops::Range<usize>, random: &mut Rng) {
    let times = if random.u8(..4) == 0 { random.usize(..600) } else { random.usize(..4) };
    let (at, repeated) = (span.end, input[span].repeat(times));
    insert(input, at, &repeated);
}

/// Replaces everything from `at` on by the end of another seed.
fn splice(input: &mut Vec<u8>, at: usize, others: &[(String, Vec<u8>)], random: &mut Rng) {
    if let Some((_, other)) = random.choice(others) {
        let from = place(other.len(), random);
        input.truncate(at);
        input.extend_from_slice(&other[from..]);
    }
}

fn edge(input: &mut [u8], at: usize, random: &mut Rng) {
    let number = EDGES[random.usize(..EDGES.len())].to_le_bytes();
    let length = 1 << random.u8(..4);
    for (byte, new) in input.iter_mut().skip(at).zip(&number[..length]) {
        *byte = *new;
    }
}

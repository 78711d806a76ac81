//! An input in pieces, as a network may deliver it.

use crate::corpus::hash;
use fastrand::Rng;
use std::fmt::Debug;

/// Inputs up to this length are split at every position, and into single bytes.
const SHORT: usize = 64;
const SINGLE: usize = 4096;

/// The result of `read`, which must be the same however the input is split.
#[track_caller]
pub(super) fn same_at_any_cut<T: PartialEq + Debug>(
    input: &[u8],
    read: impl Fn(&[&[u8]]) -> T,
) -> T {
    let whole = read(&[input]);
    let mut random = Rng::with_seed(hash(input));
    let places: Vec<usize> = match input.len() {
        0 | 1 => Vec::new(),
        len @ ..=SHORT => (1..len).collect(),
        len => (0..4).map(|_| random.usize(1..len)).collect(),
    };
    for place in places {
        let (head, tail) = input.split_at(place);
        assert_eq!(read(&[head, tail]), whole, "cut at {place}, against the whole");
    }
    if input.len() > 1 && input.len() <= SINGLE {
        let bytes: Vec<&[u8]> = input.chunks(1).collect();
        assert_eq!(read(&bytes), whole, "in single bytes, against the whole");
    }
    let pieces = in_some(input, &mut random);
    assert_eq!(read(&pieces), whole, "in {} pieces, against the whole", pieces.len());
    whole
}

/// The proper beginnings of the input.
pub(super) fn beginnings(input: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut random = Rng::with_seed(hash(input));
    let lengths: Vec<usize> = match input.len() {
        0 => Vec::new(),
        len @ ..=SHORT => (0..len).collect(),
        len => (0..24).map(|_| random.usize(..len)).collect(),
    };
    lengths.into_iter().map(|length| &input[..length])
}

fn in_some<'a>(mut input: &'a [u8], random: &mut Rng) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    let most = [3, 17, 200, 20_000][random.usize(..4)];
    while !input.is_empty() {
        let (piece, rest) = input.split_at(random.usize(1..=most).min(input.len()));
        pieces.push(piece);
        input = rest;
    }
    pieces
}

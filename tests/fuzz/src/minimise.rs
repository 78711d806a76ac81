//! Finds a smaller input with the same failure: parts are left out as long as the target still
//! fails.

/// Attempts in all, so that a slow target ends.
const ATTEMPTS: usize = 4000;

/// The rest of `input` when nothing more can be left out.
pub(crate) fn minimised(input: &[u8], fails: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let mut smallest = input.to_vec();
    let mut attempts = 0;
    let mut part = smallest.len().div_ceil(2);
    while part > 0 {
        let (mut at, before) = (0, smallest.len());
        while at < smallest.len() && attempts < ATTEMPTS {
            attempts += 1;
            let mut shorter = smallest.clone();
            shorter.drain(at..smallest.len().min(at + part));
            if fails(&shorter) {
                smallest = shorter;
            } else {
                at += part;
            }
        }
        // Once more with this size, because it helped.
        if smallest.len() == before || part > smallest.len() {
            part /= 2;
        }
    }
    smallest
}

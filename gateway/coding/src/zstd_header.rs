//! The length of a Zstandard frame's header (RFC 8878, section 3.1.1.1).
//!
//! The library gets a header in one piece and alone. If a header is split and the next piece begins
//! with another valid frame, it would decode that frame in place of the first one. If more follows
//! in the same piece, it may decode the frame as a whole, which checks more than pieces.

const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// A frame without data: its first byte is any of 16, and its header has the length of the rest.
const SKIPPED: [u8; 3] = [0x2a, 0x4d, 0x18];
const SKIPPED_HEADER: usize = 8;

/// The length of the header that begins here, or of all if it cannot be one. `None` if it is not
/// complete yet.
pub(super) fn length(frame: &[u8]) -> Option<usize> {
    let begins = |magic: &[u8], frame: &[u8]| magic.iter().zip(frame).all(|(a, b)| a == b);
    let is_skipped = frame.first().is_none_or(|first| first & 0xf0 == 0x50)
        && begins(&SKIPPED, frame.get(1..).unwrap_or_default());
    if is_skipped {
        return (frame.len() >= SKIPPED_HEADER).then_some(SKIPPED_HEADER);
    }
    if !begins(&MAGIC, frame) {
        return Some(frame.len());
    }
    let descriptor = frame.get(MAGIC.len())?;
    let is_single_segment = descriptor & 0x20 != 0;
    let window = usize::from(!is_single_segment);
    let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let content_size = match descriptor >> 6 {
        0 => usize::from(is_single_segment),
        power => 1 << power,
    };
    let length = MAGIC.len() + 1 + window + dictionary + content_size;
    (frame.len() >= length).then_some(length)
}

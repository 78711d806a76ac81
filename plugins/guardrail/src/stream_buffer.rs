//! The text that a call's stream holds back. It is kept in the call's local note
//! (`CallView::local`), which ends with the call, so nothing needs to be freed.

use crate::{
    denial::Denial,
    growth::with_spare,
    rule::{KeptText, Rule},
};
use plugin_api::limits;
use std::collections::BTreeMap;

/// How many bytes of a text are searched at once.
const PART: usize = 64 << 10;

/// The maximum number of choices of a stream. OpenAI's `n` is at most 128.
pub(crate) const MOST_CHOICES: u8 = 128;

/// One text of a stream: the choice, and the field of the choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Channel {
    pub(crate) choice: u8,
    pub(crate) field: u8,
}

/// The text that each rule holds back of each channel.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct StreamBuffer(BTreeMap<(Channel, u8), KeptText>);

impl StreamBuffer {
    /// Reads a note. Returns `None` if this callback did not write it.
    pub(crate) fn read(mut note: &[u8]) -> Option<Self> {
        let mut held = BTreeMap::new();
        while !note.is_empty() {
            let (head, rest) = note.split_first_chunk::<11>()?;
            let &[choice, field, rule, b0, b1, b2, b3, l0, l1, l2, l3] = head;
            let before = u32::from_le_bytes([b0, b1, b2, b3]);
            let len = usize::try_from(u32::from_le_bytes([l0, l1, l2, l3])).ok()?;
            let (text, rest) = rest.split_at_checked(len)?;
            let kept = KeptText {
                before: if before == u32::MAX { None } else { Some(char::from_u32(before)?) },
                text: std::str::from_utf8(text).ok()?.to_owned(),
            };
            held.insert((Channel { choice, field }, rule), kept);
            note = rest;
        }
        Some(Self(held))
    }

    pub(crate) fn note(&self) -> Vec<u8> {
        let mut note = Vec::with_capacity(self.0.values().map(|kept| kept.text.len() + 11).sum());
        for ((channel, rule), kept) in &self.0 {
            let before = kept.before.map_or(u32::MAX, u32::from);
            let len = u32::try_from(kept.text.len()).unwrap_or(u32::MAX);
            note.extend_from_slice(&[channel.choice, channel.field, *rule]);
            note.extend_from_slice(&before.to_le_bytes());
            note.extend_from_slice(&len.to_le_bytes());
            note.extend_from_slice(kept.text.as_bytes());
        }
        note
    }

    /// Returns how many bytes of text are held back.
    pub(crate) fn text_len(&self) -> usize {
        self.0.values().map(|kept| kept.text.len()).sum()
    }

    /// Returns the fields of a choice of which some text is held back.
    pub(crate) fn fields(&self, choice: u8) -> Vec<u8> {
        let of_choice = self.0.keys().filter(|(channel, _)| channel.choice == choice);
        let mut fields: Vec<u8> = of_choice.map(|(channel, _)| channel.field).collect();
        fields.dedup();
        fields
    }

    /// Passes a piece of a text through all rules, each with the output of the rule before. If
    /// `last`, the text is complete and nothing is held back. A long piece is processed in parts,
    /// to use less memory.
    pub(crate) fn next(
        &mut self,
        rules: &[Rule],
        channel: Channel,
        mut piece: &str,
        last: bool,
    ) -> Result<String, Denial> {
        let mut out = String::new();
        if piece.len() > PART {
            out.reserve(with_spare(piece.len()));
        }
        while piece.len() > PART {
            let (part, rest) = piece.split_at(piece.floor_char_boundary(PART));
            out.push_str(&self.part(rules, channel, part, false)?);
            if out.len() > limits::ANSWER {
                return Err(Denial::too_large());
            }
            piece = rest;
        }
        let end = self.part(rules, channel, piece, last)?;
        if out.is_empty() {
            return Ok(end);
        }
        out.push_str(&end);
        Ok(out)
    }

    fn part(
        &mut self,
        rules: &[Rule],
        channel: Channel,
        piece: &str,
        last: bool,
    ) -> Result<String, Denial> {
        let mut text = piece.to_owned();
        for (number, rule) in (0_u8..).zip(rules) {
            let place = (channel, number);
            let mut kept = self.0.remove(&place).unwrap_or_default();
            text = rule.next(&mut kept, &text, last)?;
            if !last && kept != KeptText::default() {
                self.0.insert(place, kept);
            }
        }
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_comes_back_as_it_was_and_another_one_is_refused() {
        let mut held = StreamBuffer::default();
        for (choice, rule, before, text) in
            [(0, 0, None, "x"), (0, 63, Some('é'), ""), (127, 1, Some('\0'), "naïve")]
        {
            let kept = KeptText { before, text: text.to_owned() };
            held.0.insert((Channel { choice, field: 3 }, rule), kept);
        }
        let note = held.note();
        assert_eq!(StreamBuffer::read(&note).as_ref(), Some(&held));
        assert_eq!(StreamBuffer::read(&[]), Some(StreamBuffer::default()));
        assert_eq!(held.text_len(), 7);
        for end in [1, 10, 11, note.len() - 1] {
            assert_eq!(StreamBuffer::read(&note[..end]), None, "{end}");
        }
    }
}

//! Computes which text could still become a match. For a pattern, this is the set of texts that
//! further characters could turn into a match, or into a longer one. A stream must hold back an end
//! that is such a text, and can send everything else.

use regex_syntax::hir::{Hir, HirKind, Literal, Look, Repetition};

/// Returns the expression that finds, in a text that continues, the first place where a match, or a
/// longer one, could begin. A look-around at the end of the text cannot be decided yet, so it
/// counts as fulfilled.
pub(crate) fn open_end(pattern: &Hir) -> Hir {
    Hir::concat(vec![beginnings(pattern), Hir::look(Look::End)])
}

/// Returns a superset of the proper prefixes of `pattern`'s matches. Whole matches are included
/// only if a longer match begins with them, or if the next character decides whether they match.
fn beginnings(pattern: &Hir) -> Hir {
    match pattern.kind() {
        HirKind::Empty => Hir::fail(),
        // Texts are split between characters, never within one.
        HirKind::Look(_) | HirKind::Class(_) => Hir::empty(),
        HirKind::Literal(Literal(bytes)) => {
            let text = String::from_utf8_lossy(bytes);
            if text.chars().nth(1).is_none() {
                return Hir::empty();
            }
            let one = |it: char| Hir::literal(it.encode_utf8(&mut [0; 4]).as_bytes());
            of_sequence(&text.chars().map(one).collect::<Vec<_>>())
        }
        HirKind::Repetition(repetition) => of_repetition(repetition),
        HirKind::Capture(capture) => beginnings(&capture.sub),
        HirKind::Alternation(branches) => {
            Hir::alternation(branches.iter().map(beginnings).collect())
        }
        HirKind::Concat(parts) => of_sequence(parts),
    }
}

/// For `ab`: the prefixes of `a`, or `a` and the prefixes of `b`. The sequence is split in halves,
/// so that the depth of the result grows only with the logarithm of its length.
fn of_sequence(parts: &[Hir]) -> Hir {
    match parts {
        [] => Hir::fail(),
        [part] => beginnings(part),
        parts => {
            let (first, rest) = parts.split_at(parts.len() / 2);
            let behind = Hir::concat(vec![Hir::concat(first.to_vec()), of_sequence(rest)]);
            Hir::alternation(vec![of_sequence(first), behind])
        }
    }
}

/// For `a{2,5}`: up to four whole `a`, and the prefixes of one more.
fn of_repetition(repetition: &Repetition) -> Hir {
    if repetition.max == Some(0) {
        return Hir::fail();
    }
    let whole = Repetition {
        min: 0,
        max: repetition.max.map(|max| max - 1),
        greedy: true,
        sub: repetition.sub.clone(),
    };
    Hir::concat(vec![Hir::repetition(whole), beginnings(&repetition.sub)])
}

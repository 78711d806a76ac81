//! What may still become a match: for the language of a pattern, the language of all that one more
//! character could make a word of it, or a longer one. A text that ends so must be kept back from
//! there; one that does not can go.

use regex_syntax::hir::{Hir, HirKind, Literal, Look, Repetition};

/// The expression that finds, in a text that goes on, the first place from which its end could be
/// the beginning of a match, or of a longer one.
///
/// A look-around at the text's end cannot be judged yet, so it counts as fulfilled.
pub(crate) fn open_end(pattern: &Hir) -> Hir {
    Hir::concat(vec![beginnings(pattern), Hir::look(Look::End)])
}

/// A superset of the proper beginnings of `pattern`'s words: the words themselves only where a
/// longer one begins with them, or where it hangs on what comes next whether they match.
fn beginnings(pattern: &Hir) -> Hir {
    match pattern.kind() {
        HirKind::Empty => Hir::fail(),
        // Texts are cut between characters, never in one.
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

/// Of `ab`: the beginnings of `a`, or `a` and the beginnings of `b`. Cut in halves, so that what
/// comes out is not nested as deep as the sequence is long.
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

/// Of `a{2,5}`: up to four whole `a`, and the beginnings of one more.
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

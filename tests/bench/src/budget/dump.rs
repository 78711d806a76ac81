//! The totals of a callgrind dump: instructions, and calls of the C library's allocator. Pure. The
//! format is in valgrind's manual, "Callgrind Format Specification".

use std::collections::HashSet;
use thiserror::Error;

/// The functions that allocate memory. A call from one of them to another is the same allocation.
const ALLOCATORS: [&str; 6] =
    ["malloc", "calloc", "realloc", "posix_memalign", "aligned_alloc", "memalign"];

/// The counts between the zeroing and the dump.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub instructions: u64,
    pub allocations: u64,
}

/// Why a dump is unusable.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum DumpError {
    #[error("expected a line `events: Ir`, found `{0}`")]
    Events(String),
    #[error("line {line}: expected a number, found `{found}`")]
    Number { line: usize, found: String },
    #[error("expected a line `totals: NUMBER` at its end, found none: it is not complete")]
    NoTotals,
}

impl Totals {
    /// Reads a whole dump.
    ///
    /// # Errors
    /// When it is cut short, or counts something other than instructions.
    pub fn read(dump: &str) -> Result<Self, DumpError> {
        let mut names = Names::default();
        let mut allocations = 0;
        let (mut from_allocator, mut to_allocator) = (false, false);
        for (index, line) in dump.lines().enumerate() {
            let number = |text: &str| first_number(text, index + 1);
            // The costs, which are most of the lines, have no key.
            if let Some(name) = line.strip_prefix("fn=") {
                from_allocator = names.is_allocator(name);
            } else if let Some(name) = line.strip_prefix("cfn=") {
                to_allocator = names.is_allocator(name);
            } else if let Some(calls) = line.strip_prefix("calls=") {
                if to_allocator && !from_allocator {
                    allocations += number(calls)?;
                }
            } else if let Some(events) = line.strip_prefix("events:") {
                if events.split_whitespace().next() != Some("Ir") {
                    return Err(DumpError::Events(line.to_owned()));
                }
            } else if let Some(totals) = line.strip_prefix("totals:") {
                return Ok(Self { instructions: number(totals)?, allocations });
            }
        }
        Err(DumpError::NoTotals)
    }
}

fn first_number(text: &str, line: usize) -> Result<u64, DumpError> {
    let found = text.split_whitespace().next().unwrap_or_default();
    found.parse().map_err(|_| DumpError::Number { line, found: found.to_owned() })
}

/// The numbers that stand for allocators: `(7) malloc` once, and `(7)` from then on.
#[derive(Debug, Default)]
struct Names<'a> {
    allocators: HashSet<&'a str>,
}

impl<'a> Names<'a> {
    fn is_allocator(&mut self, text: &'a str) -> bool {
        let Some((number, name)) = text.strip_prefix('(').and_then(|rest| rest.split_once(')'))
        else {
            return ALLOCATORS.contains(&text);
        };
        if ALLOCATORS.contains(&name.trim()) {
            self.allocators.insert(number);
        }
        self.allocators.contains(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DUMP: &str = "\
# callgrind format
version: 1
events: Ir
summary: 3000

fn=(1) serve
0 100
cob=(3) /lib/libc.so.6
cfi=(4) ./malloc/malloc.c
cfn=(2) malloc
calls=3 26
0 60
cfn=(5) __errno_location
calls=9 4
0 6
cfn=(2)
calls=2 26
0 40

fn=(6) realloc
0 5
cfn=(2)
calls=40 26
0 5

fn=(2)
0 10
cfn=(7) malloc_consolidate
calls=1 5
0 7

fn=(8) grow
cfn=(6)
calls=4 5
* 80

totals: 3017
";

    #[test]
    fn instructions_and_calls_of_allocators_are_summed() {
        let totals = Totals { instructions: 3017, allocations: 3 + 2 + 4 };
        assert_eq!(Totals::read(DUMP), Ok(totals));
    }

    #[test]
    fn names_need_not_be_numbered() {
        let dump = "events: Ir Dr\nfn=main\ncfn=calloc\ncalls=2 1\n1 1\ntotals: 9 4\n";
        assert_eq!(Totals::read(dump), Ok(Totals { instructions: 9, allocations: 2 }));
    }

    #[test]
    fn what_is_cut_short_or_counts_something_else_is_refused() {
        let number = |line, found: &str| DumpError::Number { line, found: found.to_owned() };
        let cases = [
            ("", DumpError::NoTotals),
            ("events: Ir\nfn=(1) main\n0 7\n", DumpError::NoTotals),
            ("events: Cycles Ir\ntotals: 1 2\n", DumpError::Events("events: Cycles Ir".into())),
            ("events: Ir\ntotals:\n", number(2, "")),
            ("events: Ir\ntotals: many\n", number(2, "many")),
            ("cfn=(1) malloc\ncalls=x 1\n", number(2, "x")),
        ];
        for (dump, expected) in cases {
            assert_eq!(Totals::read(dump), Err(expected), "{dump}");
        }
    }
}

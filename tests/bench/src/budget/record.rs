//! The recorded figures, `tests/bench/budget.json`: read, replaced, written. `verdict` compares
//! them.

use super::{count::Counted, dump::Totals};
use serde::{Deserialize, Serialize};
use std::{
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};
use thiserror::Error;

const UNKNOWN: &str = "unknown";

/// What one request, or one chunk of a stream, costs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    pub instructions: u64,
    /// Calls of `malloc` and similar functions, to two decimals.
    pub allocations: f64,
}

/// The origin of the figures. For information: another compiler may explain a difference.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    pub compiler: String,
    pub target: String,
    /// The name of the directory the programs were in.
    pub build: String,
    pub valgrind: String,
}

/// All recorded figures; empty before the first recording.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    pub counted_with: Option<Origin>,
    pub figures: Vec<Figure>,
}

/// One recorded figure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    pub workload: String,
    pub proxy: String,
    #[serde(flatten)]
    pub cost: Cost,
}

/// Why the record cannot be used.
#[derive(Debug, Error)]
pub enum RecordError {
    #[error("the record `{path}` cannot be read")]
    Read { path: PathBuf, source: io::Error },
    #[error("the record `{path}` is not valid; repair it, or remove it and record again")]
    Malformed { path: PathBuf, source: serde_json::Error },
    #[error("the record cannot be written")]
    Serialise(#[source] serde_json::Error),
    #[error("the record `{path}` cannot be written")]
    Write { path: PathBuf, source: io::Error },
}

impl Cost {
    /// Divides by the number of requests or chunks.
    #[must_use]
    pub fn per_unit(totals: Totals, units: u64) -> Self {
        let units = units.max(1);
        let hundredths = (totals.allocations * 100 + units / 2) / units;
        let hundredths = f64::from(u32::try_from(hundredths).unwrap_or(u32::MAX));
        Self {
            instructions: (totals.instructions + units / 2) / units,
            allocations: hundredths / 100.0,
        }
    }
}

impl Origin {
    /// Asks the compiler. If it does not answer, the origin is unknown, which is not an error.
    #[must_use]
    pub fn found(valgrind: &str, programs: &Path) -> Self {
        let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let output = Command::new(compiler).arg("-vV").stdin(Stdio::null()).output();
        let said = output.map(|output| output.stdout).unwrap_or_default();
        let said = String::from_utf8_lossy(&said);
        let target = said.lines().find_map(|line| line.strip_prefix("host: "));
        let build = std::path::absolute(programs).unwrap_or_default();
        Self {
            compiler: said.lines().next().unwrap_or(UNKNOWN).to_owned(),
            target: target.unwrap_or(UNKNOWN).to_owned(),
            build: build
                .file_name()
                .map_or(UNKNOWN.into(), |name| name.to_string_lossy())
                .into_owned(),
            valgrind: valgrind.to_owned(),
        }
    }
}

impl Record {
    /// Reads `path`; a missing file is an empty record.
    ///
    /// # Errors
    /// If the file is not a record.
    pub fn read(path: &Path) -> Result<Self, RecordError> {
        let text = match std::fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            Err(source) => return Err(RecordError::Read { path: path.to_owned(), source }),
        };
        serde_json::from_slice(&text)
            .map_err(|source| RecordError::Malformed { path: path.to_owned(), source })
    }

    /// Writes all of it to `path`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), RecordError> {
        let mut text = serde_json::to_vec_pretty(self).map_err(RecordError::Serialise)?;
        text.push(b'\n');
        std::fs::write(path, text)
            .map_err(|source| RecordError::Write { path: path.to_owned(), source })
    }

    /// The recorded cost of a counted workload.
    #[must_use]
    pub fn cost(&self, counted: &Counted) -> Option<Cost> {
        self.figures.iter().find(|figure| figure.is_of(counted)).map(|figure| figure.cost)
    }

    /// Replaces figures by new ones; those that were not counted stay.
    pub fn replace(&mut self, counted: &[Counted], origin: Origin) {
        self.counted_with = Some(origin);
        for counted in counted {
            match self.figures.iter_mut().find(|figure| figure.is_of(counted)) {
                Some(figure) => figure.cost = counted.cost,
                None => self.figures.push(Figure {
                    workload: counted.workload.to_owned(),
                    proxy: counted.kind.title().to_owned(),
                    cost: counted.cost,
                }),
            }
        }
    }
}

impl Figure {
    fn is_of(&self, counted: &Counted) -> bool {
        self.workload == counted.workload && self.proxy == counted.kind.title()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxies::Kind;

    fn counted(kind: Kind, instructions: u64) -> Counted {
        Counted {
            workload: "small body",
            unit: "request",
            kind,
            cost: Cost { instructions, allocations: 12.25 },
            dump: PathBuf::new(),
        }
    }

    #[test]
    fn totals_are_divided_and_rounded() {
        let totals = Totals { instructions: 1_000, allocations: 100 };
        assert_eq!(Cost::per_unit(totals, 3), Cost { instructions: 333, allocations: 33.33 });
        assert_eq!(Cost::per_unit(totals, 600), Cost { instructions: 2, allocations: 0.17 });
    }

    #[test]
    fn what_was_written_is_read_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("budget.json");
        let mut record = Record::read(&path).unwrap();
        assert_eq!(record, Record::default());
        let both = [counted(Kind::Relay, 10), counted(Kind::Gateway, 30)];
        record.replace(&both, Origin::default());
        record.replace(&[counted(Kind::Gateway, 20)], Origin::default());
        record.write(&path).unwrap();
        let read = Record::read(&path).unwrap();
        assert_eq!(read, record);
        let costs = both.map(|counted| read.cost(&counted).map(|cost| cost.instructions));
        assert_eq!(costs, [Some(10), Some(20)]);
        assert_eq!(read.cost(&counted(Kind::GatewayWithCallbacks, 0)), None);
    }

    #[test]
    fn a_damaged_record_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("budget.json");
        for text in ["", "{}", r#"{"figures":[{"workload":"a","proxy":"b"}]}"#] {
            std::fs::write(&path, text).unwrap();
            let error = Record::read(&path).unwrap_err().to_string();
            assert!(error.contains("budget.json") && error.contains("record again"), "{error}");
        }
    }
}

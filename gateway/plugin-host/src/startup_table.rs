//! The loaded callbacks as text, one aligned line each, for the log at startup and for `check`.

use super::loader::ListedPlugin;
use callgate_telemetry::columns::table;
use std::fmt;

const HEADINGS: [&str; 8] = ["#", "callback", "version", "abi", "sha256", "load", "hooks", "file"];

/// One line for each callback in call order; empty if there are none.
#[derive(Debug)]
pub struct StartupTable {
    rows: Vec<[String; HEADINGS.len()]>,
}

impl StartupTable {
    /// The table of a chain.
    #[must_use]
    pub fn of(plugins: &[ListedPlugin]) -> Self {
        let row = |(index, plugin): (usize, &ListedPlugin)| {
            [
                (index + 1).to_string(),
                plugin.name.to_string(),
                plugin.version.clone(),
                plugin.api.to_string(),
                plugin.sha256_prefix(),
                format!("{:.1} ms", plugin.load_time.as_secs_f64() * 1e3),
                plugin.chosen_hooks.join(" "),
                plugin.file.display().to_string(),
            ]
        };
        Self { rows: plugins.iter().enumerate().map(row).collect() }
    }

    /// Logs it: as an aligned table for people, otherwise one line with fields for each callback.
    pub fn log(&self) {
        if !callgate_telemetry::is_json() {
            self.to_string().lines().for_each(|line| {
                tracing::info!(
                    target: "callgate::callbacks::startup_table",
                    "{line}"
                );
            });
            return;
        }
        for [position, name, version, abi, sha256, load, hooks, file] in &self.rows {
            tracing::info!(
                target: "callgate::callbacks::startup_table",
                position = position.parse::<u64>().unwrap_or_default(),
                callback.name = &**name,
                version = &**version,
                abi = &**abi,
                sha256 = &**sha256,
                load = &**load,
                hooks = &**hooks,
                file = &**file,
                "callback in the chain"
            );
        }
    }
}

impl fmt::Display for StartupTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.rows.is_empty() {
            return Ok(());
        }
        f.write_str(table(HEADINGS, &self.rows).trim_end())
    }
}

#[cfg(test)]
mod tests {
    use super::StartupTable;

    #[test]
    fn columns_are_aligned_and_no_callbacks_give_no_text() {
        let row = |cells: [&str; 8]| cells.map(str::to_owned);
        let table = StartupTable {
            rows: vec![
                row([
                    "1",
                    "routing",
                    "0.1.0",
                    "1.0",
                    "0123456789ab",
                    "1.2 ms",
                    "on_llm_start",
                    "/p/librouting.so",
                ]),
                row([
                    "2",
                    "rate_limit",
                    "0.10.0",
                    "1.0",
                    "ba9876543210",
                    "11.3 ms",
                    "on_llm_start on_llm_error",
                    "x.so",
                ]),
            ],
        };
        let expected = "\
#  callback    version  abi  sha256        load     hooks                      file
1  routing     0.1.0    1.0  0123456789ab  1.2 ms   on_llm_start               /p/librouting.so
2  rate_limit  0.10.0   1.0  ba9876543210  11.3 ms  on_llm_start on_llm_error  x.so";
        assert_eq!(table.to_string(), expected);
        assert_eq!(StartupTable { rows: Vec::new() }.to_string(), "");
    }
}

//! The command line of `callgate-bench` and where its defaults point.

use clap::Parser;
use std::path::{Path, PathBuf};

/// The name that selects the timing of hooks, beside the workloads' names.
pub const HOOKS: &str = "hooks";

/// Measures CPU time per request of nginx, a bare relay and the gateway, side by side.
///
/// Exits with status 1 when a figure is missed, 2 when the measurement itself failed.
#[derive(Clone, Debug, Parser)]
#[command(name = "callgate-bench", version)]
pub struct Options {
    /// Send a handful of requests only and judge nothing: shows that everything works.
    #[arg(long)]
    pub quick: bool,

    /// How often every proxy takes its turn at every workload; medians are printed.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub rounds: u32,

    /// Run only the workloads whose name contains TEXT, judging nothing; `hooks` times hooks alone.
    #[arg(long, value_name = "TEXT")]
    pub only: Option<String>,

    /// Also write everything measured to FILE, as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,

    /// Measure the yardsticks alone.
    #[arg(long)]
    pub without_gateway: bool,

    /// Where `callgate`, `bench-upstream` and `bench-relay` are [default: beside this program].
    #[arg(long, value_name = "DIR")]
    pub bin_dir: Option<PathBuf>,

    /// Where the callbacks' shared objects are [default: the directory of the programs].
    #[arg(long, value_name = "DIR")]
    pub plugin_dir: Option<PathBuf>,

    /// The configuration to measure the gateway's start with.
    #[arg(long, value_name = "FILE", default_value = "config.yaml")]
    pub config: PathBuf,
}

impl Options {
    /// The programs' directory; the current one when the system does not say where we are.
    #[must_use]
    pub fn programs(&self) -> PathBuf {
        programs_or_own(self.bin_dir.as_deref())
    }

    /// Whether hooks are timed and nothing else.
    #[must_use]
    pub fn wants_hooks_alone(&self) -> bool {
        self.only.as_deref() == Some(HOOKS) && !self.without_gateway
    }

    /// The directory given to the gateway to find callbacks in.
    #[must_use]
    pub fn plugins(&self) -> PathBuf {
        plugins_or_beside(self.plugin_dir.as_deref(), &self.programs())
    }
}

/// The directory `given`, or the one of the running program.
#[must_use]
pub fn programs_or_own(given: Option<&Path>) -> PathBuf {
    given.map(Path::to_owned).unwrap_or_else(|| {
        let own = std::env::current_exe().unwrap_or_default();
        own.parent().map(Path::to_owned).unwrap_or_default()
    })
}

/// The directory `given`, or that of the programs. Absolute, because the configs that name it are
/// in another folder.
#[must_use]
pub fn plugins_or_beside(given: Option<&Path>, programs: &Path) -> PathBuf {
    let chosen = given.unwrap_or(programs);
    std::path::absolute(chosen).unwrap_or_else(|_| chosen.to_owned())
}

/// The installed nginx; Debian puts it into a folder that only root's search path has.
#[must_use]
pub fn installed_nginx() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/usr/local/sbin".into()])
        .map(|directory| directory.join("nginx"))
        .find(|program| program.is_file())
}

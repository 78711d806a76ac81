//! The chain that `plugin test` runs: of a config, or one callback of a file.

use super::{http_rules::HttpRules, input::Input, refused::Refused};
use crate::{
    boot,
    cli::{Selection, Source, Test},
    commands::plugin::{inspect::sentence, select},
};
use callgate_callbacks::DryRun;
use callgate_config::{CallbackEntry, Environment, HostPattern};
use callgate_deployments::Deployments;
use callgate_host::{Clock, Listing, Services, SystemClock};
use callgate_plugin_host::{LoadGuard, Plugin, PluginInfo, SearchPath, load_all};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

/// The chain to run.
pub(super) struct Stage {
    pub(super) entries: Vec<CallbackEntry>,
    listing: Arc<Listing>,
    pub(super) deployments: Arc<Deployments>,
    environment: Environment,
    search: SearchPath,
    clock: Arc<AheadClock>,
}

/// A part of the chain with its own instances, counters and rules.
pub(super) struct Part {
    pub(super) dry_run: DryRun,
    pub(super) rules: Option<Arc<HttpRules>>,
}

/// The system's clock, moved ahead.
#[derive(Debug, Default)]
struct AheadClock {
    ms: AtomicU64,
}

impl Clock for AheadClock {
    fn monotonic_ns(&self) -> u64 {
        SystemClock.monotonic_ns() + self.ms.load(Relaxed) * 1_000_000
    }

    fn unix_ms(&self) -> u64 {
        SystemClock.unix_ms() + self.ms.load(Relaxed)
    }
}

impl Stage {
    /// The chain of the config, or the callback of the file with these grants.
    pub(super) fn of(options: &Test, granted: Vec<HostPattern>) -> Result<Self, Refused> {
        if let Some(config) = &options.config {
            let source =
                Source::of(config.clone(), options.plugin_dir.clone(), options.env_file.clone());
            let built =
                boot::build(&source, None).map_err(|problems| Refused::unfit(&problems.0))?;
            let folder = source.files.plugin_dir.as_deref();
            return Ok(Self {
                search: boot::search_path(folder, config, &built.config.gateway),
                entries: built.config.callbacks,
                listing: built.listing,
                deployments: Arc::new(built.deployments),
                environment: built.config.environment,
                clock: Arc::default(),
            });
        }
        let file = options.file.clone().unwrap_or_default();
        let info = PluginInfo::of(&file);
        if let Some(reason) = info.reasons.first() {
            return Err(Refused::Unfit(format!(
                "error: `{}`: {}",
                file.display(),
                sentence(reason)
            )));
        }
        let (callback, settings) = (options.callback.clone(), options.settings.clone());
        let selection = Selection { file, callback, settings };
        let mut entry = select::entry(&info, &selection).map_err(Refused::Misuse)?;
        entry.grants.http_hosts = granted;
        Ok(Self {
            entries: vec![entry],
            listing: Arc::default(),
            deployments: Arc::new(select::deployments()),
            environment: Environment::default(),
            search: SearchPath::default(),
            clock: Arc::default(),
        })
    }

    /// The first `count` callbacks, with new instances.
    pub(super) fn part(&self, count: usize, input: &Input) -> Result<Part, Refused> {
        let entries = self.entries.get(..count).unwrap_or_default();
        // New services, so that no callback finds counters of another part.
        let mut services = Services::idle().with_clock(Arc::<AheadClock>::clone(&self.clock));
        let rules = input.http.as_ref();
        let rules = rules.map(|http| Arc::new(HttpRules::new(&http.file, &http.rules)));
        if let Some(rules) = &rules {
            services = services.with_answers(Arc::<HttpRules>::clone(rules));
        }
        let loaded = load_all(
            entries,
            &self.search,
            &self.environment,
            (&Arc::new(services), &self.listing),
            &[],
            &mut LoadGuard::none(),
        )
        .map_err(|problems| Refused::unfit(&problems.0))?;
        let (headers, deployments) = (input.headers.clone(), Arc::clone(&self.deployments));
        let body = input.requests.first().map(|request| request.body.clone()).unwrap_or_default();
        let dry_run = DryRun::new(loaded.into_made(), deployments, headers, body);
        let dry_run = dry_run.map_err(|error| Refused::Misuse(format!("`--request`: {error}")))?;
        Ok(Part { dry_run, rules })
    }

    /// One callback, with a new instance that uses these services.
    pub(super) fn plugin(
        &self,
        entry: &CallbackEntry,
        services: &Arc<Services>,
    ) -> Result<Plugin, Refused> {
        let loaded = load_all(
            std::slice::from_ref(entry),
            &self.search,
            &self.environment,
            (services, &self.listing),
            &[],
            &mut LoadGuard::none(),
        )
        .map_err(|problems| Refused::unfit(&problems.0))?;
        let plugin = loaded.into_made().into_iter().next();
        plugin.ok_or_else(|| Refused::Unfit("error: no instance was made".to_owned()))
    }

    /// Moves the callbacks' clock ahead.
    pub(super) fn advance(&self, time: Duration) {
        let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.clock.ms.fetch_add(ms, Relaxed);
    }
}

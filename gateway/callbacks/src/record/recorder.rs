//! The recorder of one entry: which calls it records, and where they go.

use super::{
    call_record::{CallRecord, RecordSink, Recorded},
    folder::{Folder, RecordReport},
    json,
};
use callgate_call::Call;
use callgate_config::RecordTo;
use callgate_deployments::Deployments;
use callgate_plugin_host::Recipe;
use callgate_secret::mask_one;
use serde_json::{Value, json};
use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

/// Records the calls of one callback.
pub(crate) struct Recorder {
    recipe: Arc<Recipe>,
    /// The calls that could have been recorded.
    seen: AtomicU64,
    to: RecordsTo,
}

enum RecordsTo {
    Folder(Folder, RecordTo),
    /// For a replay.
    Memory(Mutex<Vec<Value>>),
}

/// In place of the record of a call that is not recorded.
struct LeftOut;

impl Recorder {
    /// The recorder that the entry asks for.
    pub(crate) fn for_entry(recipe: &Arc<Recipe>) -> Option<Arc<Self>> {
        let to = recipe.entry.record.clone()?;
        let folder = RecordsTo::Folder(Folder::default(), to);
        Some(Arc::new(Self { recipe: Arc::clone(recipe), seen: AtomicU64::new(0), to: folder }))
    }

    /// A recorder that keeps the records for [`Recorder::take`].
    pub(crate) fn in_memory(recipe: &Arc<Recipe>) -> Arc<Self> {
        let to = RecordsTo::Memory(Mutex::default());
        Arc::new(Self { recipe: Arc::clone(recipe), seen: AtomicU64::new(0), to })
    }

    pub(crate) fn take(&self) -> Vec<Value> {
        match &self.to {
            RecordsTo::Folder(..) => Vec::new(),
            RecordsTo::Memory(kept) => {
                std::mem::take(&mut *kept.lock().unwrap_or_else(PoisonError::into_inner))
            }
        }
    }

    /// The record of this call; begun at the callback's first hook, unless the call is left out.
    pub(crate) fn record_of(
        self: &Arc<Self>,
        place: usize,
        call: &mut Call,
        deployments: &Arc<Deployments>,
    ) -> Option<Arc<CallRecord>> {
        if call.records.of(place).is_none() {
            if !self.chooses_next() {
                call.records.add(place, Arc::new(LeftOut));
                return None;
            }
            let record = CallRecord::new(Arc::<Self>::clone(self), call, deployments);
            call.records.add(place, Arc::new(record));
        }
        CallRecord::of(call, place)
    }

    /// Whether the next call is in the sample. The calls of a sample are evenly spread.
    fn chooses_next(&self) -> bool {
        let RecordsTo::Folder(folder, to) = &self.to else { return true };
        if folder.is_full() {
            return false;
        }
        let seen = self.seen.fetch_add(1, Relaxed);
        let chosen_of = |calls: u64| calls.saturating_mul(to.sample) / 10_000;
        chosen_of(seen + 1) > chosen_of(seen)
    }

    /// Waits a bounded time until everything recorded so far is written.
    pub(crate) fn flush(&self, limit: Duration) {
        if let RecordsTo::Folder(folder, _) = &self.to {
            folder.flush(limit);
        }
    }

    pub(crate) fn report(&self) -> Option<RecordReport> {
        let RecordsTo::Folder(folder, to) = &self.to else { return None };
        Some(folder.report(to))
    }

    /// The record without secrets.
    fn json(&self, recorded: &Recorded) -> Value {
        let mut record = json::record(recorded);
        let keys = json::keys(recorded);
        self.mask(&keys, &mut record);
        record["callback"] = json!({
            "name": self.recipe.entry.name,
            "entry": &*self.recipe.name,
            "version": self.recipe.version,
            "sha256": self.recipe.sha256_prefix(),
        });
        record
    }

    fn mask(&self, keys: &[String], value: &mut Value) {
        match value {
            Value::String(text) => {
                let mut masked = self.recipe.without_secrets(text);
                keys.iter().for_each(|key| mask_one(&mut masked, key));
                *text = masked;
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.mask(keys, item)),
            Value::Object(members) => {
                members.values_mut().for_each(|member| self.mask(keys, member));
            }
            _ => {}
        }
    }
}

impl RecordSink for Recorder {
    fn keep(self: Arc<Self>, recorded: Recorded) {
        match &self.to {
            RecordsTo::Memory(kept) => {
                let json = self.json(&recorded);
                kept.lock().unwrap_or_else(PoisonError::into_inner).push(json);
            }
            RecordsTo::Folder(folder, to) => {
                let (size, recorder) = (recorded.size(), Arc::clone(&self));
                let json = Box::new(move || recorder.json(&recorded));
                folder.submit(&self.recipe.name, to, size, json);
            }
        }
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").field("callback", &self.recipe.name).finish_non_exhaustive()
    }
}

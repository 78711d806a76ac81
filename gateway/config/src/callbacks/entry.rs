//! One entry of the list as the loader and the chain get it.

use super::{
    grants::Grants,
    locations::SettingLocations,
    policy::{BreakerLimits, CallScope, Canary, ChosenHook, Mode, OnError, Streams},
    record::RecordTo,
};
use crate::problem::SourceLocation;
use serde_json::{Map, Value};
use std::{
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

/// One entry of `litellm_settings.callbacks`. The loader resolves it to a file.
#[derive(Clone, PartialEq)]
pub struct CallbackEntry {
    /// Index in the list as written, from 0.
    pub position: usize,
    /// The plugin's name: the last dotted segment, or the file's stem without `lib`.
    pub name: String,
    /// Distinguishes several entries of one plugin. An entry's display name (this, otherwise
    /// `name`) is unique.
    pub instance: Option<String>,
    /// Entries of one plugin with the same value share counters and values on purpose.
    pub share: Option<(String, SourceLocation)>,
    /// The name or path as the operator wrote it.
    pub written: String,
    /// The folder beside the config that a dotted name leads to: `src/callbacks` of
    /// `src.callbacks.rate_limit`.
    pub folder: Option<PathBuf>,
    /// The file, if the entry names one; relative paths start at the config's folder.
    pub file: Option<PathBuf>,
    /// Always an object; variables are expanded.
    pub settings: Value,
    /// The key path of the settings, for errors about them.
    pub settings_path: String,
    /// The location of each setting in the config.
    pub settings_places: SettingLocations,
    /// The effect of this callback's faults on the call.
    pub on_error: OnError,
    /// The time limit of hooks that can time out: async ones, and those off the worker.
    pub timeout: Option<Duration>,
    /// Where sync hooks run.
    pub mode: Mode,
    /// `None`: as the plugin says.
    pub streams: Option<Streams>,
    /// The calls that the callback is for.
    pub only: CallScope,
    /// Of those, the calls that it is not for.
    pub except: Option<CallScope>,
    /// The share of the callers that it is for; `None` for all.
    pub canary: Option<Canary>,
    /// Request headers, in lower case, with which a client skips the callback.
    pub skippable_by: Vec<String>,
    /// Whether clients must not be able to avoid it.
    pub protects: bool,
    /// The hooks that it is limited to; `None` for all it has.
    pub hooks: Option<Vec<ChosenHook>>,
    /// The limits of its breaker; `None` for no breaker.
    pub breaker: Option<BreakerLimits>,
    /// The first 12 to 64 hex digits of its file's SHA-256, in lower case.
    pub sha256: Option<String>,
    /// Where its calls are recorded, if they are.
    pub record: Option<RecordTo>,
    /// Access that the operator grants to this callback alone.
    pub grants: Grants,
    /// Whether the gateway refuses to start if the plugin cannot be loaded (`true` by default).
    pub required: bool,
    /// Whether it is from one of LiteLLM's lists of callbacks that observe, such as
    /// `success_callback`.
    pub only_observes: bool,
    /// Whether `general_settings.custom_auth` names it.
    pub is_custom_auth: bool,
    /// The entry itself.
    pub place: SourceLocation,
}

impl CallbackEntry {
    /// Its name in logs, metrics and `callback_settings`.
    #[must_use]
    pub fn called(&self) -> &str {
        self.instance.as_ref().unwrap_or(&self.name)
    }

    /// The module of a name that LiteLLM reads as `module.instance`: `custom_callbacks` of
    /// `custom_callbacks.proxy_handler_instance`.
    #[must_use]
    pub fn module(&self) -> Option<&str> {
        self.folder.as_deref()?.file_name()?.to_str()
    }

    /// Whether a callback made for this entry can serve `other`: all but the places is the same.
    /// Which file serves an entry is another question.
    #[must_use]
    pub fn asks_the_same_as(&self, other: &Self) -> bool {
        self.without_places() == other.without_places()
    }

    /// The entry as it would be anywhere in any config. It sets the fields that do not count, so
    /// that every other field counts, a new one too.
    fn without_places(&self) -> Self {
        let nowhere = SourceLocation::whole_file(Path::new(""));
        let mut entry = self.clone();
        entry.share.iter_mut().for_each(|(_, place)| *place = nowhere.clone());
        let hooks = entry.hooks.iter_mut().flatten();
        hooks.for_each(|hook| hook.place = nowhere.clone());
        Self {
            position: 0,
            instance: Some(self.called().to_owned()),
            written: String::new(),
            folder: None,
            file: None,
            settings_path: String::new(),
            settings_places: SettingLocations::default(),
            sha256: None,
            required: true,
            only_observes: false,
            place: nowhere,
            ..entry
        }
    }

    /// The location of the value of the setting at the key path `path`.
    pub fn place_of_setting(&self, path: &str) -> SourceLocation {
        self.settings_places.of_value(path, &self.place)
    }

    /// The location of the name of the setting at the key path `path`.
    pub fn place_of_name(&self, path: &str) -> SourceLocation {
        self.settings_places.of_name(path, &self.place)
    }

    /// The location of the setting that a plugin's message begins with, as in `limits[0].per:
    /// expected …`; the entry's location for any other message.
    pub fn place_of_message(&self, message: &str) -> SourceLocation {
        let named =
            message.split_once(": ").map(|(path, _)| format!("{}.{path}", self.settings_path));
        match named.filter(|path| self.settings_places.has(path)) {
            Some(path) => self.place_of_setting(&path),
            None => self.place.clone(),
        }
    }

    /// An entry for one callback of one file, without a config. Problems are reported at `source`,
    /// the origin of its settings.
    #[must_use]
    pub fn of_file(name: &str, file: &Path, settings: Value, source: &str) -> Self {
        let mut entry =
            Self::unnamed(SourceLocation::whole_file(Path::new(source)), "settings".to_owned());
        name.clone_into(&mut entry.name);
        name.clone_into(&mut entry.written);
        entry.file = Some(file.to_owned());
        entry.settings = settings;
        entry
    }

    /// The defaults of every key.
    pub(super) fn unnamed(place: SourceLocation, settings_path: String) -> Self {
        Self {
            position: 0,
            name: String::new(),
            written: String::new(),
            folder: None,
            instance: None,
            share: None,
            file: None,
            settings: Value::Object(Map::new()),
            settings_path,
            settings_places: SettingLocations::default(),
            on_error: OnError::Fail,
            timeout: None,
            mode: Mode::default(),
            streams: None,
            only: CallScope::default(),
            except: None,
            canary: None,
            skippable_by: Vec::new(),
            protects: false,
            hooks: None,
            breaker: Some(BreakerLimits::default()),
            sha256: None,
            record: None,
            grants: Grants::default(),
            required: true,
            only_observes: false,
            is_custom_auth: false,
            place,
        }
    }
}

impl fmt::Debug for CallbackEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings: Vec<_> = self.settings.as_object().into_iter().flat_map(Map::keys).collect();
        f.debug_struct("CallbackEntry")
            .field("position", &self.position)
            .field("name", &self.name)
            .field("instance", &self.instance)
            .field("file", &self.file)
            .field("settings", &settings)
            .field("on_error", &self.on_error)
            .finish_non_exhaustive()
    }
}

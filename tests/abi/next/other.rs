//! A plugin that is only ever refused: compiled against tables that are not those of 1.x.

use plugin_api::{Callback, Host, InitError, export_callbacks};

#[derive(serde::Deserialize)]
struct Settings {}

struct Other;

impl Callback for Other {
    type Settings = Settings;

    fn new(_: Host, _: Settings) -> Result<Self, InitError> {
        Ok(Self)
    }
}

export_callbacks! {
    Other {
        name: "other",
        kind: sync,
        hooks: [],
        reads: [],
        writes: [],
        settings_schema: "{}",
    }
}

//! The edits that callbacks may make in `on_llm_start`, and their rollback.

use super::{
    Call, Reading, RouteEdit, Target, Unreadable, callback_header::set_header, messages::Messages,
    metadata::Metadata, params,
};
use bytes::Bytes;
use callgate_config::Grants;
use callgate_deployments::Deployments;
use callgate_json::Body;
use http::{HeaderName, HeaderValue};
use plugin_api::{EditError, Route, limits};
use smallvec::SmallVec;
use std::cell::OnceCell;

/// Members that decide what a call is. They have their own accessors, or none.
const FIXED: &[&str] = &["model", "messages", "stream"];

/// Everything that `on_llm_start` can change, so that a faulty hook's edits can be rolled back.
#[derive(Debug)]
pub struct EditsSnapshot {
    body: Body,
    reading: OnceCell<Reading>,
    model: Option<String>,
    route: RouteEdit,
    planned: OnceCell<Option<Target>>,
    upstream_headers: Vec<(HeaderName, HeaderValue)>,
    reply_headers: Vec<(HeaderName, HeaderValue)>,
}

/// Everything that any hook can change: the shared metadata and the callback's own note.
#[derive(Debug)]
pub struct HookState {
    metadata: Metadata,
    place: usize,
    note: Box<[u8]>,
}

impl Call {
    pub fn snapshot(&self) -> EditsSnapshot {
        EditsSnapshot {
            body: self.body.clone(),
            reading: self.reading.clone(),
            model: self.model.clone(),
            route: self.route.clone(),
            planned: self.planned.clone(),
            upstream_headers: self.upstream_headers.clone(),
            reply_headers: self.reply_headers.clone(),
        }
    }

    pub fn restore(&mut self, snapshot: EditsSnapshot) {
        self.body = snapshot.body;
        self.reading = snapshot.reading;
        self.rendered = OnceCell::new();
        self.model = snapshot.model;
        self.route = snapshot.route;
        self.planned = snapshot.planned;
        self.upstream_headers = snapshot.upstream_headers;
        self.reply_headers = snapshot.reply_headers;
    }

    /// Whether a callback's edits of `copy`, a clone of this call, would change it. The callback's
    /// own note does not count.
    pub fn is_changed_by(&self, copy: &Self) -> bool {
        self.model() != copy.model()
            || self.route != copy.route
            || self.upstream_headers != copy.upstream_headers
            || self.reply_headers != copy.reply_headers
            || self.metadata != copy.metadata
            || self.body_text() != copy.body_text()
    }

    /// The state that the callback at `place` can change in any hook.
    pub fn hook_state(&self, place: usize) -> HookState {
        HookState { metadata: self.metadata.clone(), place, note: self.note(place).into() }
    }

    /// The metadata that this call has and `before` had not, or with another value.
    pub fn metadata_since(&self, before: &HookState) -> impl Iterator<Item = (&str, &str)> {
        self.metadata.iter().filter(|(key, value)| before.metadata.get(key) != Some(*value))
    }

    /// Commits what a hook has changed in `copy`, a clone of this call, since `before`. Other hooks
    /// may have changed this call meanwhile.
    ///
    /// # Errors
    /// If the metadata of all of them is too large together.
    pub fn adopt_hook_state(&mut self, copy: &Self, before: &HookState) -> Result<(), EditError> {
        self.set_note(before.place, copy.note(before.place))?;
        copy.metadata_since(before).try_for_each(|(key, value)| self.set_metadata(key, value))
    }

    pub fn restore_hook_state(&mut self, hook_state: HookState) {
        self.metadata = hook_state.metadata;
        if let Some(note) = self.notes.get_mut(hook_state.place) {
            *note = SmallVec::from_slice(&hook_state.note);
        }
    }

    /// The deployment of the call as it stands. Chosen once, so that callbacks count the deployment
    /// that is used.
    pub fn planned(&self, deployments: &Deployments) -> Option<&Target> {
        self.planned.get_or_init(|| Target::plan(deployments, self.model(), &self.route)).as_ref()
    }

    pub fn set_model(&mut self, model: &str) -> Result<(), EditError> {
        if model.is_empty() {
            return Err(EditError::NotAllowed);
        }
        if model.len() > limits::MODEL {
            return Err(EditError::TooLarge);
        }
        self.model = Some(model.to_owned());
        self.planned = OnceCell::new();
        Ok(())
    }

    pub fn set_route(
        &mut self,
        route: Route<'_>,
        deployments: &Deployments,
        grants: Option<&Grants>,
    ) -> Result<(), EditError> {
        self.route.apply(route, deployments, grants)?;
        self.planned = OnceCell::new();
        Ok(())
    }

    pub fn set_upstream_header(&mut self, name: &str, value: &str) -> Result<(), EditError> {
        set_header(&mut self.upstream_headers, name, value)
    }

    pub fn set_reply_header(&mut self, name: &str, value: &str) -> Result<(), EditError> {
        set_header(&mut self.reply_headers, name, value)
    }

    pub fn remove_upstream_header(&mut self, name: &str) -> Result<(), EditError> {
        let before = self.upstream_headers.len();
        self.upstream_headers.retain(|(present, _)| !present.as_str().eq_ignore_ascii_case(name));
        if self.upstream_headers.len() < before { Ok(()) } else { Err(EditError::NotFound) }
    }

    pub fn set_param(&mut self, path: &str, json: &str) -> Result<(), EditError> {
        changeable(path)?;
        self.spend(path.len() + json.len())?;
        self.edit_params(path, |body| params::set(body, path, json))
    }

    pub fn remove_param(&mut self, path: &str) -> Result<(), EditError> {
        changeable(path)?;
        self.edit_params(path, |body| params::remove(body, path))
    }

    fn edit_params(
        &mut self,
        path: &str,
        edit: impl FnOnce(&mut Body) -> Result<(), EditError>,
    ) -> Result<(), EditError> {
        // Before the first edit, because the client's own text is what has to be checked.
        if path.contains('.') {
            self.messages().ok_or(EditError::WrongKind)?;
        }
        self.rendered = OnceCell::new();
        let done = edit(&mut self.body);
        if done == Err(EditError::WrongKind) {
            let text = format!("'{path}' cannot be set: what is there is of another kind.");
            self.refused_edit = Some(Unreadable::new(path.to_owned(), text));
        }
        done
    }

    /// Counts the bytes that an edit adds to the body. If the client's body is large, little is
    /// left for callbacks; that is the client's doing.
    fn spend(&mut self, bytes: usize) -> Result<(), EditError> {
        let edited = self.edited.saturating_add(bytes);
        if edited > limits::BODY_EDITS {
            if self.body.len() >= limits::BODY_EDITS / 16 {
                let text = format!(
                    "the request body is too large for this gateway's callbacks, whose edits of it \
                     have room for {} bytes together",
                    limits::BODY_EDITS
                );
                self.refused_edit = Some(Unreadable::new("request_body".to_owned(), text));
            }
            return Err(EditError::TooLarge);
        }
        self.edited = edited;
        Ok(())
    }

    /// Edits the messages, adding so many bytes, and updates the body.
    pub fn edit_messages<R>(
        &mut self,
        bytes: usize,
        edit: impl FnOnce(&mut Messages) -> Result<R, EditError>,
    ) -> Result<R, EditError> {
        self.spend(bytes)?;
        self.rendered = OnceCell::new();
        edit(self.messages_mut().ok_or(EditError::WrongKind)?)
    }

    pub fn replace_body(&mut self, bytes: &[u8]) -> Result<(), EditError> {
        self.spend(bytes.len())?;
        let body = Body::parse(Bytes::copy_from_slice(bytes)).map_err(|_| EditError::NotJson)?;
        let reading = super::reading::read(&body);
        if reading.is_err() {
            return Err(EditError::NotJson);
        }
        if body.member("stream").as_deref() == Some(b"true") && !self.stream {
            return Err(EditError::NotAllowed);
        }
        if let Some(model) =
            body.member_text("model").and_then(|it| serde_json::from_str::<String>(it).ok())
            && model != self.model()
        {
            self.set_model(&model)?;
        }
        self.body = body;
        if self.stream {
            self.body.set("stream", &b"true"[..]);
        }
        self.rendered = OnceCell::new();
        self.reading = OnceCell::from(reading);
        Ok(())
    }

    pub fn set_metadata(&mut self, key: &str, value: &str) -> Result<(), EditError> {
        self.metadata.set(key, value)
    }

    pub fn set_note(&mut self, place: usize, note: &[u8]) -> Result<(), EditError> {
        if note.len() > limits::LOCAL {
            return Err(EditError::TooLarge);
        }
        if self.notes.len() <= place {
            self.notes.resize_with(place + 1, Default::default);
        }
        let slot = &mut self.notes[place];
        slot.clear();
        slot.extend_from_slice(note);
        Ok(())
    }
}

fn changeable(path: &str) -> Result<(), EditError> {
    let name = path.split_once('.').map_or(path, |(name, _)| name);
    if path.is_empty() || FIXED.contains(&name) { Err(EditError::NotAllowed) } else { Ok(()) }
}

//! `faulty` and `faulty_async`: the same actions, at once or awaited.

use crate::{
    act::{Voice, anywhere, in_hook},
    hook_data::HookData,
    settings::{Action, Settings},
    waiting::wait,
};
use plugin_api::{
    AsyncCallback, CallView, Callback, Chunk, Flow, Hook, Host, InitError, Level, LlmCall,
    LlmFailure, LlmReply,
};
use std::{
    future::pending,
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

/// Runs its actions at once; `wait_ms`, `until_file` and `never` are faults.
#[derive(Debug)]
pub struct Faulty(Actor);

/// Runs its actions in a future.
#[derive(Debug)]
pub struct FaultyAsync(Actor);

/// As `FaultyAsync`, and with a hook beside the upstream call.
#[derive(Debug)]
pub struct FaultyBeside(Actor);

#[derive(Debug)]
struct Actor {
    host: Host,
    settings: Settings,
    /// How often each hook has had the chance to act.
    acted: [AtomicU64; 5],
    /// The text stored by `remember`.
    kept: Mutex<Option<String>>,
}

impl Actor {
    fn new(host: Host, settings: Settings) -> Result<Self, InitError> {
        let made = format!("made {}", settings.label);
        let count = host.counters().map_or(0, |counters| counters.add(&made, 1));
        if settings.unmade.contains(&count) {
            return Err(InitError(format!("instance {count} is not to be made")));
        }
        let actor = Self { host, settings, acted: Default::default(), kept: Mutex::default() };
        if !(actor.settings.only_served && plugin_api::is_probe()) {
            actor.outside("new", &actor.settings.new).map_err(InitError)?;
        }
        actor.voice().say(Level::Info, "created", &[]);
        Ok(actor)
    }

    fn voice(&self) -> Voice<'_> {
        Voice { host: self.host, label: &self.settings.label }
    }

    fn outside(&self, place: &str, actions: &[Action]) -> Result<(), String> {
        for action in actions {
            if !anywhere(self.voice(), place, action)? {
                return Err(format!("{action:?} does not work in `{place}`"));
            }
        }
        Ok(())
    }

    fn shutdown(&self) {
        self.voice().say(Level::Info, "shut down", &[]);
        if let Err(error) = self.outside("shutdown", &self.settings.shutdown) {
            self.voice().say(Level::Error, &error, &[]);
        }
    }

    /// The actions for a hook; none if the settings exclude it.
    fn actions(&self, data: &HookData<'_, '_, '_>) -> &[Action] {
        let settings = &self.settings;
        let (hook, actions) = match data {
            HookData::Start(..) => (0, &settings.on_llm_start),
            HookData::During(..) => (4, &settings.on_llm_during),
            HookData::Token(..) => (1, &settings.on_llm_new_token),
            HookData::End(..) => (2, &settings.on_llm_end),
            HookData::Error(..) => (3, &settings.on_llm_error),
        };
        let other_model =
            settings.only_model.as_ref().is_some_and(|model| model != data.call().model());
        let other_chunk = match (data, settings.at_chunk) {
            (HookData::Token(_, chunk), Some(index)) => chunk.index() != index,
            _ => false,
        };
        let only_tried = settings.only_served && plugin_api::is_probe();
        if only_tried || other_model || other_chunk || actions.is_empty() {
            return &[];
        }
        let acted = self.acted[hook].fetch_add(1, Relaxed);
        let worn_out = settings.times.is_some_and(|times| acted >= times);
        let passed_over = settings.every.is_some_and(|every| !(acted + 1).is_multiple_of(every));
        if worn_out || passed_over { &[] } else { actions }
    }

    /// Records like a recorder, if the settings ask for it.
    fn record(&self, data: &HookData<'_, '_, '_>) {
        if self.settings.record {
            let fields = [("hook", data.hook()), ("call", data.call().id())];
            self.voice().say(Level::Info, "hook", &fields);
        }
    }

    /// Runs an action on the instance's own state; returns whether it was one.
    fn on_state(&self, hook: &str, action: &Action) -> bool {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        match action {
            Action::Remember(text) => *kept = Some(text.clone()),
            Action::Recall => {
                let text = kept.as_deref().unwrap_or("nothing");
                self.voice().say(Level::Info, "recalled", &[("hook", hook), ("text", text)]);
            }
            _ => return false,
        }
        true
    }

    fn run(&self, mut data: HookData<'_, '_, '_>) -> Hook {
        self.record(&data);
        for action in self.actions(&data) {
            if self.on_state(data.hook(), action) {
                continue;
            }
            if let Some(flow) = in_hook(self.voice(), &mut data, action)? {
                return Ok(flow);
            }
        }
        Ok(Flow::Continue)
    }

    async fn run_async(&self, mut data: HookData<'_, '_, '_>) -> Hook {
        self.record(&data);
        for action in self.actions(&data) {
            match action {
                Action::WaitMs(ms) => wait(*ms).await,
                Action::UntilFile(path) => {
                    while !(plugin_api::is_probe() || Path::new(path).exists()) {
                        wait(1).await;
                    }
                }
                Action::Never => pending().await,
                _ if self.on_state(data.hook(), action) => {}
                _ => {
                    if let Some(flow) = in_hook(self.voice(), &mut data, action)? {
                        return Ok(flow);
                    }
                }
            }
        }
        Ok(Flow::Continue)
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        self.voice().say(Level::Info, "dropped", &[]);
        if let Err(error) = self.outside("drop", &self.settings.drop) {
            self.voice().say(Level::Error, &error, &[]);
        }
    }
}

impl Callback for Faulty {
    type Settings = Settings;

    fn new(host: Host, settings: Settings) -> Result<Self, InitError> {
        Actor::new(host, settings).map(Self)
    }

    fn on_llm_start(&self, call: &mut LlmCall<'_>) -> Hook {
        self.0.run(HookData::Start(call))
    }

    fn on_llm_new_token(&self, call: &mut CallView<'_>, chunk: &mut Chunk<'_>) -> Hook {
        self.0.run(HookData::Token(call, chunk))
    }

    fn on_llm_end(&self, call: &mut CallView<'_>, reply: &mut LlmReply<'_>) -> Hook {
        self.0.run(HookData::End(call, reply))
    }

    fn on_llm_error(&self, call: &mut CallView<'_>, failure: &mut LlmFailure<'_>) -> Hook {
        self.0.run(HookData::Error(call, failure))
    }

    fn shutdown(&self) {
        self.0.shutdown();
    }
}

/// An async callback with the hooks of `Callback`, and others.
macro_rules! async_callback {
    ($callback:ident $(, $further:item)?) => {
        impl AsyncCallback for $callback {
            type Settings = Settings;

            fn new(host: Host, settings: Settings) -> Result<Self, InitError> {
                Actor::new(host, settings).map(Self)
            }

            async fn on_llm_start(&self, call: &mut LlmCall<'_>) -> Hook {
                self.0.run_async(HookData::Start(call)).await
            }

            $($further)?

            async fn on_llm_new_token(
                &self,
                call: &mut CallView<'_>,
                chunk: &mut Chunk<'_>,
            ) -> Hook {
                self.0.run_async(HookData::Token(call, chunk)).await
            }

            async fn on_llm_end(&self, call: &mut CallView<'_>, reply: &mut LlmReply<'_>) -> Hook {
                self.0.run_async(HookData::End(call, reply)).await
            }

            async fn on_llm_error(
                &self,
                call: &mut CallView<'_>,
                failure: &mut LlmFailure<'_>,
            ) -> Hook {
                self.0.run_async(HookData::Error(call, failure)).await
            }

            fn shutdown(&self) {
                self.0.shutdown();
            }
        }
    };
}

async_callback!(FaultyAsync);
async_callback!(
    FaultyBeside,
    async fn on_llm_during(&self, call: &mut CallView<'_>) -> Hook {
        self.0.run_async(HookData::During(call)).await
    }
);

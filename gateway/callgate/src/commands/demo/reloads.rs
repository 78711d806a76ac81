//! Reloads under load: clients call without a pause while a callback's file is replaced by another
//! build, the callbacks change places, and one is removed.

use super::{
    DemoError, KEY,
    client::{Client, ClientError},
    gateway::Gateway,
    walkthrough::Walkthrough,
};
use crate::{boot::Built, cli::Serve};
use callgate_plugin_host::ListedPlugin;
use callgate_scripted_upstream::ScriptedUpstream;
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use tokio::{task::JoinHandle, time::sleep};

const CLIENTS: usize = 8;
const MODEL: &str = "gemma3";

/// So many calls lie between two changes.
const BETWEEN: usize = 150;

/// The two callbacks of the part, each with a file of its own.
pub(super) struct Pair([Entry; 2]);

struct Entry {
    name: String,
    file: PathBuf,
    settings: Value,
}

impl Pair {
    /// The first two callbacks of the config, from copies of their files in `folder`.
    pub(super) fn of(built: &Built, folder: &Path) -> Result<Option<Self>, std::io::Error> {
        let copy = |plugin: &ListedPlugin| {
            let file = folder.join(plugin.file.file_name().unwrap_or_default());
            fs::copy(&plugin.file, &file)?;
            let (name, settings) = (plugin.entry.name.clone(), plugin.entry.settings.clone());
            Ok::<_, std::io::Error>(Entry { name, file, settings })
        };
        match &built.plugins[..] {
            [first, second, ..] => Ok(Some(Self([copy(first)?, copy(second)?]))),
            _ => Ok(None),
        }
    }

    fn config(&self, upstream: &ScriptedUpstream, order: &[usize]) -> String {
        let params = json!({"model": "ollama_chat/gemma3", "api_base": upstream.ollama_base()});
        let entry = |entry: &Entry| json!({"name": entry.name, "path": entry.file, "settings": entry.settings});
        let callbacks: Vec<_> = order.iter().filter_map(|at| self.0.get(*at)).map(entry).collect();
        json!({
            "general_settings": {"master_key": KEY},
            "model_list": [{"model_name": MODEL, "litellm_params": params}],
            "litellm_settings": {"callbacks": callbacks},
        })
        .to_string()
    }

    /// Puts another build of the second one in the place of its file: here the same code, with a
    /// byte more at its end.
    fn replace(&self) -> Result<(), std::io::Error> {
        let [_, Entry { file, .. }] = &self.0;
        let mut bytes = fs::read(file)?;
        bytes.push(0);
        let new = file.with_extension("new");
        fs::write(&new, bytes)?;
        fs::rename(new, file)
    }
}

/// The clients, and how their calls ended.
struct Load {
    stop: Arc<AtomicBool>,
    calls: Arc<AtomicUsize>,
    failed: Arc<AtomicUsize>,
    clients: Vec<JoinHandle<Result<(), ClientError>>>,
}

impl Load {
    fn start(url: &str) -> Self {
        let (stop, calls, failed) = (Arc::default(), Arc::default(), Arc::default());
        let mut load = Self { stop, calls, failed, clients: Vec::new() };
        for number in 0..CLIENTS {
            let (stop, calls) = (Arc::clone(&load.stop), Arc::clone(&load.calls));
            let (failed, url) = (Arc::clone(&load.failed), url.to_owned());
            load.clients.push(tokio::spawn(async move {
                let mut client = Client::connect(&url).await?;
                for call in number.. {
                    if stop.load(Relaxed) {
                        break;
                    }
                    let stream = call % 2 == 0;
                    let response = client.chat(MODEL, stream).await?;
                    let is_whole = !stream || response.streamed().is_some();
                    if response.status != 200 || !is_whole {
                        failed.fetch_add(1, Relaxed);
                    }
                    calls.fetch_add(1, Relaxed);
                }
                Ok(())
            }));
        }
        load
    }

    /// Waits for some more calls; returns how many there were in all.
    async fn go_on(&self) -> usize {
        let until = self.calls.load(Relaxed) + BETWEEN;
        while self.calls.load(Relaxed) < until && !self.clients.iter().all(JoinHandle::is_finished)
        {
            sleep(Duration::from_millis(1)).await;
        }
        self.calls.load(Relaxed)
    }

    async fn end(self) -> Result<(usize, usize), ClientError> {
        self.stop.store(true, Relaxed);
        let mut broken = 0;
        for client in self.clients {
            broken += usize::from(!matches!(client.await, Ok(Ok(()))));
        }
        Ok((self.calls.load(Relaxed), self.failed.load(Relaxed) + broken))
    }
}

/// Runs the part.
pub(super) async fn reloads(
    serve: &Serve,
    pair: &Pair,
    upstream: &ScriptedUpstream,
    report: &mut Walkthrough,
) -> Result<(), DemoError> {
    let mut serve = serve.clone();
    serve.source.files.config.path.set_file_name("reload.yaml");
    let path = serve.source.files.config.path.clone();
    fs::write(&path, pair.config(upstream, &[0, 1]))?;
    let gateway = Gateway::start(&serve).await?;
    let mut operator = Client::connect(&gateway.url).await?;
    let load = Load::start(&gateway.url);
    let [first, second] = [0, 1].map(|at: usize| &*pair.0[at].name);
    for (number, (what, order)) in [
        (format!("another build of {second}"), &[0, 1][..]),
        (format!("{second} before {first}"), &[1, 0]),
        (format!("{second} removed"), &[0]),
    ]
    .into_iter()
    .enumerate()
    {
        let call = load.go_on().await;
        if number == 0 {
            pair.replace()?;
        }
        fs::write(&path, pair.config(upstream, order))?;
        let asked = Instant::now();
        let (status, answer) = operator.reload().await?;
        let took = asked.elapsed().as_millis();
        let changes = answer["changes"].as_array().map_or(&[][..], Vec::as_slice);
        let change = changes.first().and_then(Value::as_str).unwrap_or("nothing changed");
        let config = number + 2;
        report.add(
            &format!("under load: {what}"),
            format!("config {config} serves"),
            format!(
                "config {} serves since call {call}, in {took} ms: {change}",
                answer["generation"]
            ),
            status == 200 && answer["generation"] == config && !changes.is_empty(),
        );
    }
    load.go_on().await;
    let (calls, failed) = load.end().await?;
    gateway.stop().await;
    report.add(
        &format!("the calls of {CLIENTS} clients meanwhile"),
        "none failed".to_owned(),
        format!("{calls} calls, {failed} failed"),
        failed == 0 && calls > 0,
    );
    Ok(())
}
